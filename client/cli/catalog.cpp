#include "client/cli/context.hpp"
#include "client/cli/records.hpp"
#include "client/cli/terminal.hpp"
#include "proto/task_state.hpp"

namespace futured::cli {
namespace {

using schema::Json;

Json json_of_field(const schema::Field& field) {
  Json out = Json::object()
                 .add("name", field.name)
                 .add("type", field.type)
                 .add("label", field.label)
                 .add("required", field.label == "required")
                 .add("default", field.fallback.empty() ? Json() : Json(field.fallback));
  if (!field.comment.empty()) out.add("comment", field.comment);
  if (!field.choices.empty()) {
    Json choices = Json::array();
    for (const auto& choice : field.choices) choices.push(choice);
    out.add("choices", std::move(choices));
  }
  if (!field.fields.empty()) {
    Json fields = Json::array();
    for (const auto& inner : field.fields) fields.push(json_of_field(inner));
    out.add("fields", std::move(fields));
  }
  return out;
}

std::vector<schema::Field> fields_of(const v1::TaskType& type, const std::string& message) {
  if (message.empty() || type.schema().empty()) return {};
  const auto loaded = schema::Schema::load(type.schema());
  if (!loaded) return {};
  auto fields = (*loaded)->fields(message);
  return fields ? std::move(*fields) : std::vector<schema::Field>();
}

/// Pools that load the plugin of a type.
std::vector<std::string> pools_of(const v1::TaskType& type, const v1::Reply& pools) {
  std::vector<std::string> out;
  for (const auto& pool : pools.pools()) {
    bool loads = pool.plugins().empty();
    for (const auto& plugin : pool.plugins()) loads = loads || plugin == type.plugin();
    if (loads) out.push_back(harmless(pool.name()));
  }
  return out;
}

std::string lane_word(const v1::TaskType& type) { return std::string(name(static_cast<Lane>(type.lane()))); }

Json json_of_type(const v1::TaskType& type, const v1::Reply& pools) {
  const auto list = [&](const std::string& message) {
    Json out = Json::array();
    for (const auto& field : fields_of(type, message)) out.push(json_of_field(field));
    return out;
  };
  Json where = Json::array();
  for (auto& pool : pools_of(type, pools)) where.push(std::move(pool));
  const auto text = [](const std::string& value) { return value.empty() ? Json() : schema::json_of_bytes(value); };
  return Json::object()
      .add("name", type.name())
      .add("lane", lane_word(type))
      .add("summary", schema::json_of_bytes(type.summary()))
      .add("pools", std::move(where))
      .add("plugin", text(type.plugin()))
      .add("plugin_version", text(type.plugin_version()))
      .add("max_concurrency", type.max_concurrency())
      .add("input_type", text(type.input_type()))
      .add("reply_type", text(type.reply_type()))
      .add("fields", list(type.input_type()))
      .add("reply_fields", list(type.reply_type()));
}

void add_fields(Table& table, const std::vector<schema::Field>& fields, const std::string& prefix) {
  for (const auto& field : fields) {
    std::string about = field.comment;
    for (auto end = about.find('\n'); end != std::string::npos; end = about.find('\n')) {
      about.replace(end, about.compare(end, 2, "\n ") == 0 ? 2 : 1, " ");
    }
    if (!field.choices.empty()) {
      about += (about.empty() ? "one of " : "; one of ");
      for (std::size_t i = 0; i < field.choices.size(); ++i) about += (i == 0 ? "" : ", ") + field.choices[i];
    }
    if (!field.oneof.empty()) about += (about.empty() ? "" : "; ") + ("one of " + field.oneof + " at most");
    table.row({prefix + field.name, field.type, field.label == "optional" ? "" : field.label, harmless(field.fallback),
               harmless(about)});
    add_fields(table, field.fields, prefix + field.name + ".");
  }
}

void describe(Context& context, const v1::TaskType& type, const v1::Reply& pools) {
  Output& out = context.out;
  std::string where;
  for (const auto& pool : pools_of(type, pools)) where += (where.empty() ? "" : ", ") + pool;
  out.write(out.paint(Colour::bold, type.name()) + "  " + harmless(type.summary()) + "\n  " + lane_word(type) +
            " lane, plugin " + harmless(type.plugin()) + " " + harmless(type.plugin_version()) + ", " +
            (where.empty() ? "in no pool now" : "in pool " + where) + "\n");
  const auto part = [&](const std::string& title, const std::string& message) {
    if (message.empty()) {
      out.write("\n" + title + ": bytes\n");
      return;
    }
    Table table({{"FIELD", false, false},
                 {"TYPE", false, true},
                 {"LABEL", false, false},
                 {"DEFAULT", false, true},
                 {"", false, true}});
    add_fields(table, fields_of(type, message), "");
    out.write("\n" + title + ": " + message + "\n");
    if (!table.empty()) out.table(table);
  };
  part("input", type.input_type());
  part("reply", type.reply_type());
}

}  // namespace

int catalog_verb(Context& context) {
  context.at_most(1);
  Output& out = context.out;
  const bool one = !context.args.words.empty();
  if (one) context.daemon.task(context.args.words.front());  // says so if there is none
  v1::Request request;
  if (one) request.mutable_catalog()->add_types(context.args.words.front());
  request.mutable_catalog()->set_schema(one || out.json());
  const v1::Reply reply = context.daemon.ask(request);
  if (out.quiet()) {
    for (const auto& type : reply.types()) out.line(type.name());
    return 0;
  }
  v1::Request pools_request;
  pools_request.mutable_pools();
  const v1::Reply pools = context.daemon.ask(pools_request);
  if (out.json()) {
    Json all = Json::array();
    for (const auto& type : reply.types()) all.push(json_of_type(type, pools));
    out.print(all);
    return 0;
  }
  if (one) {
    for (const auto& type : reply.types()) describe(context, type, pools);
    return 0;
  }
  Table table({{"TASK", false, false},
               {"LANE", false, false},
               {"INPUT", false, true},
               {"REPLY", false, true},
               {"POOLS", false, true},
               {"", false, true}});
  for (const auto& type : reply.types()) {
    std::string where;
    for (const auto& pool : pools_of(type, pools)) where += (where.empty() ? "" : " ") + pool;
    table.row({type.name(), lane_word(type), type.input_type().empty() ? "bytes" : type.input_type(),
               type.reply_type().empty() ? "bytes" : type.reply_type(), where, harmless(type.summary())});
  }
  out.table(table);
  return 0;
}

}  // namespace futured::cli
