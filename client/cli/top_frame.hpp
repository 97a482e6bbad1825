// What `fut top` shows at one moment, as text. Pure; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "futured/v1/client.pb.h"

namespace futured::cli {

struct TopData {
  v1::DaemonStatus status;
  std::vector<v1::WorkerRecord> workers;
  std::vector<v1::TaskRecord> running;
  double per_second = -1;  ///< tasks that ended; below 0: not known yet
  std::int64_t now = 0;    ///< unix, ns
};

/// `width` 0 and `height` 0: as much as it takes. Ends with a line end; never more than `height` lines.
std::string top_frame(const TopData& data, std::size_t width, std::size_t height, bool colours);

}  // namespace futured::cli
