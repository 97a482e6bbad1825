// What embedded and separate daemons have in common: the functions of the suite offered by a worker in this process.
#pragma once

#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "futured/executor.hpp"
#include "tests/conformance/gate.hpp"

namespace futured::conformance {

/// Registers the functions through add(name, function).
template <class Add>
void add_functions(Add add, Gate& gate) {
  add("c.echo", [](std::string_view s) { return std::string(s); });
  add("c.mixed", [](std::string_view s) { return mixed(std::string(s)); });
  add("c.fail", [](std::string_view s) -> std::string { throw std::runtime_error(std::string(s)); });
  add("c.nap", [](std::string_view s) {
    sleep_for(std::strtod(std::string(s).c_str(), nullptr));
    return std::string();
  });
  add("c.block", [&gate](std::string_view) {
    gate.pass();
    return std::string();
  });
}

class RemoteFixture {
 public:
  Future<std::string> echo(std::string s) { return ex_->submit("c.echo", std::move(s)); }
  Future<std::string> nap(double s) { return ex_->submit("c.nap", std::to_string(s)); }
  Future<std::string> fail(std::string s) { return ex_->submit("c.fail", std::move(s)); }
  MapResults<std::string> map_echo(const std::vector<std::string>& in, const MapOptions& o) {
    return ex_->map("c.echo", in, o);
  }
  MapResults<std::string> map_mixed(const std::vector<std::string>& in, const MapOptions& o) {
    return ex_->map("c.mixed", in, o);
  }
  template <class R>
  MapResults<std::string> map_any(R&& in, const MapOptions& o) {
    return ex_->map("c.echo", std::forward<R>(in), o);
  }
  MapResults<std::string> map_nap(const std::vector<double>& in, const MapOptions& o) {
    std::vector<std::string> words;
    for (const double s : in) words.push_back(std::to_string(s));
    return ex_->map("c.nap", std::move(words), o);
  }
  void fill() {
    gate_.close();
    for (std::size_t i = 0; i < workers_; ++i) ex_->submit("c.block", "");
    gate_.wait_for(workers_);
  }
  void release() { gate_.open(); }
  void shutdown(bool wait, bool cancel) { ex_->shutdown(wait, cancel); }

 protected:
  explicit RemoteFixture(std::size_t workers) : workers_(workers) {}
  const std::size_t workers_;
  Gate gate_;
  std::unique_ptr<Executor> ex_;
};

}  // namespace futured::conformance
