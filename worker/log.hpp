// The worker's log: one line on standard error for each event. Any thread.
#pragma once

#include <string_view>

namespace futured::worker {

/// Writes "futured-worker[pid]: TEXT" in one piece; line breaks within become spaces, very long texts are cut.
void log_line(std::string_view text);

}  // namespace futured::worker
