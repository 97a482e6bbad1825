#include <algorithm>
#include <charconv>

#include "client/cli/context.hpp"
#include "client/cli/records.hpp"
#include "proto/nearest.hpp"

namespace futured::cli {

int scale_verb(Context& context) {
  const std::string& word = context.first_word("a number of processes");
  context.at_most(1);
  const auto equals = word.rfind('=');
  const std::string pool = equals == std::string::npos ? std::string() : word.substr(0, equals);
  const std::string count = equals == std::string::npos ? word : word.substr(equals + 1);
  std::uint32_t processes = 0;
  const auto end = std::from_chars(count.data(), count.data() + count.size(), processes);
  constexpr std::uint32_t kMost = 1024;
  if (count.empty() || end.ec != std::errc{} || end.ptr != count.data() + count.size() || processes > kMost) {
    throw Failure(Exit::usage, "'" + word + "' is no number of processes: fut scale 4, or fut scale POOL=4, at most " +
                                   std::to_string(kMost));
  }
  v1::Request question;
  question.mutable_pools();
  const v1::Reply pools = context.daemon.ask(question);
  std::vector<std::string> names;
  for (const auto& p : pools.pools()) names.push_back(p.name());
  std::string list;
  for (const auto& name : names) list += (list.empty() ? "" : ", ") + name;
  if (pool.empty() && names.size() > 1) {
    throw Failure(Exit::usage,
                  "there are several pools (" + list + "): say which, fut scale " + names.front() + "=" + count);
  }
  if (!pool.empty() && std::find(names.begin(), names.end(), pool) == names.end()) {
    const std::string near = nearest(pool, names);
    throw Failure(Exit::usage, "there is no pool '" + pool + "'" +
                                   (near.empty() ? (names.empty() ? "; there are none" : "; there are: " + list)
                                                 : "; did you mean '" + near + "'?"));
  }
  v1::Request request;
  request.mutable_scale()->set_pool(pool);
  request.mutable_scale()->set_processes(processes);
  context.daemon.ask(request);
  const std::string& name = pool.empty() && !names.empty() ? names.front() : pool;
  if (context.out.json()) {
    context.out.print(schema::Json::object().add("pool", name).add("processes", processes));
  } else {
    context.out.note("pool " + name + " is to have " + std::to_string(processes) +
                     (processes == 1 ? " process" : " processes"));
  }
  return 0;
}

}  // namespace futured::cli
