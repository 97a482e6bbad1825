// What the standard streams are connected to. Read once at the start; any thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace futured::cli {

bool is_terminal(int fd);
/// Columns of the terminal behind `fd` now; 80 if it has none.
std::size_t terminal_width(int fd);

/// Lines of it; 24 if it has none.
std::size_t terminal_height(int fd);

/// Columns that UTF-8 text takes: one for each code point, none for combining marks; wide letters count as two.
std::size_t text_width(std::string_view text);
/// At most `width` columns of it; a cut text ends with "…" (or "." where the width is 1).
std::string cut(std::string_view text, std::size_t width);
/// Control characters become "\xNN" and invalid UTF-8 "?": text from elsewhere must not drive the terminal.
std::string harmless(std::string_view text);

}  // namespace futured::cli
