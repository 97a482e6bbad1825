// Whether a file is a whole store: what SQLite says of it, and what is true of every store. Reads only.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "proto/status.hpp"

namespace futured::store {

/// What is wrong, in sentences, the most basic first; empty: nothing. At most `limit`. Not ok: it cannot be read.
Result<std::vector<std::string>> check_store(const std::string& path, std::size_t limit = 100);

}  // namespace futured::store
