#include "client/control.hpp"

#include "client/connection.hpp"

namespace futured {

namespace {
const detail::RemoteHome* home_of(const Future<std::string>& f) {
  return dynamic_cast<const detail::RemoteHome*>(FutureAccess::cell(f).get()->home());
}
}  // namespace

Result<v1::Reply> Control::request(v1::Request request, Nanos timeout) {
  return connection_.request(std::move(request), detail::deadline_after(timeout));
}

Result<Control::Nanos> Control::ping(Nanos timeout) { return connection_.ping(detail::deadline_after(timeout)); }

v1::Welcome Control::welcome() const { return connection_.welcome(); }
std::string Control::endpoint() const { return connection_.endpoint(); }
bool Control::ended() const { return connection_.ended(); }
void Control::watch(std::function<void(bool connected)> watcher) { connection_.watch(std::move(watcher)); }

Result<std::vector<Control::Attached>> Control::attach(const std::vector<v1::TaskRef>& tasks, Nanos timeout,
                                                       const Output& output) {
  auto attached = connection_.attach_many(tasks, detail::deadline_after(timeout), output);
  if (!attached.ok()) return attached.status();
  std::vector<Attached> out;
  for (auto& a : *attached) {
    Attached item;
    item.future = FutureAccess::make<std::string>(std::move(a.cell));
    item.number = a.facts.number();
    item.id = item.future.id();
    item.state = a.facts.state();
    out.push_back(std::move(item));
  }
  return out;
}

namespace {
Result<Control::Attached> only(Result<std::vector<Control::Attached>> all) {
  if (!all.ok()) return all.status();
  return std::move(all->front());
}
Control::Output for_any(OutputCallback output) {
  if (!output) return nullptr;
  return [output = std::move(output)](std::size_t, int stream, std::string_view bytes) { output(stream, bytes); };
}
}  // namespace

Result<Control::Attached> Control::attach(TaskNumber number, Nanos timeout, OutputCallback output) {
  v1::TaskRef ref;
  ref.set_number(number);
  return only(attach({ref}, timeout, for_any(std::move(output))));
}

Result<Control::Attached> Control::attach(const TaskId& id, Nanos timeout, OutputCallback output) {
  v1::TaskRef ref;
  ref.set_id(client::raw_id(id));
  return only(attach({ref}, timeout, for_any(std::move(output))));
}

Result<std::vector<v1::Cancelled::Verdict>> Control::cancel(const std::vector<Future<std::string>>& futures,
                                                            Nanos timeout, const CancelOptions& options) {
  std::vector<client::Handle> handles;
  for (const auto& f : futures) {
    const auto* home = f.valid() ? home_of(f) : nullptr;
    if (home == nullptr) return Status(Code::invalid, "cancel: a future that belongs to no daemon");
    handles.push_back(home->handle(*FutureAccess::cell(f)));
  }
  return connection_.cancel_many(std::move(handles), options.running_too, options.grace.count(), options.why,
                                 detail::deadline_after(timeout));
}

Result<TaskNumber> Control::number(const Future<std::string>& future, Nanos timeout) {
  const auto* home = future.valid() ? home_of(future) : nullptr;
  if (home == nullptr) return Status(Code::invalid, "this future belongs to no daemon");
  return connection_.number(*home, *FutureAccess::cell(future), detail::deadline_after(timeout));
}

std::string Control::warning(const Future<std::string>& future) const {
  const auto* home = future.valid() ? home_of(future) : nullptr;
  return home == nullptr ? std::string() : connection_.warning(home->handle(*FutureAccess::cell(future)));
}

}  // namespace futured
