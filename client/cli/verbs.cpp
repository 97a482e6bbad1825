// The table of commands: names, options, help. Parsing, --help and the completions are made from it.
#include <array>

#include "client/cli/context.hpp"
#include "client/cli/exec.hpp"
#include "client/cli/selector.hpp"
#include "client/cli/task_flags.hpp"

namespace futured::cli {
namespace {

constexpr std::array kGlobal{
    Option{"connect", 0, "ENDPOINT",
           "the daemon, as ipc:///path or tcp://host:port (default: $FUTURED_CONNECT, yours, the system's)"},
    Option{"json", 'j', "", "JSON, for programs"},
    Option{"quiet", 'q', "", "only what was asked for, for scripts"},
    Option{"color", 0, "WHEN", "auto, always or never", false, "auto always never"},
};

constexpr std::array kWaitOption{Option{"wait", 'w', "", "waits and prints the result, as run does"}};
constexpr std::array kMap{
    Option{"parallel", 'P', "N", "tasks in flight at most (default 4096)"},
    Option{"window", 0, "N", "lines read and not printed at most (default 16384)"},
    Option{"ordered", 0, "", "results in the order of the lines"},
    Option{"bare", 'r', "", "only the results: one a line; of a command, its output"},
    Option{"jsonl", 0, "", "each line is the whole input, as JSON"},
    Option{"null", '0', "", "lines end with a zero byte"},
    Option{"max-fails", 0, "N", "after N failures what has not started is cancelled"},
};
constexpr std::array kStdin{Option{"stdin", 'i', "", "standard input is the command's (read whole, first)"}};
constexpr std::array kField{Option{"field", 0, "NAME", "only this field of the result, raw"}};
constexpr std::array kWait{
    Option{"timeout", 0, "TIME", "gives up after this long, with exit code 124"},
    Option{"any", 0, "", "the first that ends will do"},
};
constexpr std::array kCancel{Option{"grace", 0, "TIME", "how long what runs may take to stop (default 5s)"}};
constexpr std::array kList{Option{"limit", 'n', "N", "the newest N (default: all; on a terminal 100)"}};
constexpr std::array kShutdown{Option{"now", 0, "", "what runs is stopped"}};

constexpr std::string_view kInputHelp =
    "INPUT is field=text, field:=JSON, field@FILE (its contents); a repeated field repeats the pair, nested is a.b=1.\n"
    "A task without schema takes one word as its bytes. - is standard input. Words after -- are never options and "
    "fill\n"
    "argv where the task has it. 'fut catalog TASK' lists the fields.";

const std::vector<Verb>& table() {
  static const std::vector<Verb> all{
      {.name = "run",
       .words = "TASK [INPUT...]",
       .summary = "runs a task and prints its result",
       .details = kInputHelp,
       .examples = "fut run echo hello\nfut run primes below=1000000\nfut run fetch url=https://example.org/ --json",
       .options = {task_option_table(), input_option_table(), embedded_option_table()},
       .patient = true,
       .run = run_verb,
       .completes = "task"},
      {.name = "submit",
       .words = "TASK [INPUT...]",
       .summary = "queues a task and prints its number",
       .details = kInputHelp,
       .examples = "fut submit sleep seconds=60 -l who=me\nfut result last",
       .options = {kWaitOption, task_option_table(), input_option_table()},
       .run = submit_verb,
       .completes = "task"},
      {.name = "map",
       .words = "TASK [INPUT with {}...] < LINES  |  -- CMD [ARG with {}...] < LINES",
       .summary = "runs a task, or a command, for each line of standard input",
       .details = "{} in a value is replaced by the line; {{}} is a literal {}. Without {} the line is the input "
                  "itself. Each result\n"
                  "is a line of JSON as it completes, with its index. The input may be endless.",
       .examples = "seq 1000 | fut map primes below={}\nfut map fetch url={} discard=true < urls.txt\nls *.png | fut "
                   "map -r -- optipng {}",
       .options = {kMap, exec_option_table(), task_option_table(), input_option_table(), embedded_option_table()},
       .patient = true,
       .run = map_verb,
       .completes = "task"},
      {.name = "exec",
       .words = "CMD [ARG...]",
       .summary = "runs a command as a task, as if it ran here",
       .details = "Options of fut come before the command. The command has this folder and this environment; its "
                  "output comes as it\n"
                  "is written; the exit status is the command's, 128 + signal, 127 if it was not found, 126 if it "
                  "cannot be run.",
       .examples = "fut exec make -j4\nfut exec -e CC=clang -C build ninja\ntar c . | fut exec -i wc -c",
       .options = {exec_option_table(), kStdin, task_option_table(), embedded_option_table()},
       .style = Words::stop,
       .patient = true,
       .run = exec_verb,
       .completes = "command"},
      {.name = "list",
       .words = "[SEL...]",
       .summary = "lists tasks, the newest first",
       .details = kSelectorHelp,
       .examples = "fut list\nfut list state=failed label=who=me\nfut list -j | jq '.[].number'",
       .options = {kList},
       .run = list_verb,
       .completes = "selector"},
      {.name = "show",
       .words = "SEL...",
       .summary = "shows everything about tasks, with their attempts",
       .details = kSelectorHelp,
       .examples = "fut show last\nfut show 12 -j",
       .options = {},
       .run = show_verb,
       .completes = "selector"},
      {.name = "result",
       .words = "SEL...",
       .summary = "waits for tasks and prints their results",
       .details = kSelectorHelp,
       .examples = "fut result last\nfut result 12 --field body > page.html",
       .options = {kField},
       .patient = true,
       .run = result_verb,
       .completes = "selector"},
      {.name = "wait",
       .words = "SEL...",
       .summary = "waits until tasks have ended; the exit code tells how",
       .details = kSelectorHelp,
       .examples = "fut wait all --timeout 10m\nfut wait group=nightly --any",
       .options = {kWait},
       .patient = true,
       .run = wait_verb,
       .completes = "selector"},
      {.name = "cancel",
       .words = "SEL...",
       .summary = "cancels tasks, running ones too",
       .details = kSelectorHelp,
       .examples = "fut cancel 12\nfut cancel group=nightly --grace 30s",
       .options = {kCancel},
       .run = cancel_verb,
       .completes = "selector"},
      {.name = "status",
       .words = "",
       .summary = "the daemon at a glance",
       .examples = "fut status\nfut status -j",
       .run = status_verb},
      {.name = "catalog",
       .words = "[TASK]",
       .summary = "the task types, or the fields of one",
       .examples = "fut catalog\nfut catalog fetch",
       .run = catalog_verb,
       .completes = "task"},
      {.name = "worker list",
       .words = "",
       .summary = "the worker processes",
       .examples = "fut worker list",
       .run = worker_list_verb},
      {.name = "pool list", .words = "", .summary = "the pools", .examples = "fut pool list", .run = pool_list_verb},
      {.name = "scale",
       .words = "[POOL=]N",
       .summary = "changes how many worker processes a pool has",
       .examples = "fut scale 8\nfut scale io=2",
       .run = scale_verb,
       .completes = "pool"},
      {.name = "ping",
       .words = "",
       .summary = "asks whether the daemon answers, and how fast",
       .examples = "fut ping",
       .run = ping_verb},
      {.name = "shutdown",
       .words = "",
       .summary = "ends the daemon: what runs may finish",
       .examples = "fut shutdown\nfut shutdown --now",
       .options = {kShutdown},
       .run = shutdown_verb},
      {.name = "completions",
       .words = "SHELL",
       .summary = "prints the completions for bash, zsh or fish",
       .examples = "source <(fut completions bash)\nfut completions fish | source",
       .run = completions_verb,
       .completes = "shell"},
  };
  return all;
}

}  // namespace

std::span<const Verb> verbs() { return table(); }
std::span<const Option> global_options() { return kGlobal; }

}  // namespace futured::cli
