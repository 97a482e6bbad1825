// All benchmarks, one a file. Each adds its figures to the report; each figure is the median of several runs.
#pragma once

#include "tests/bench/bench.hpp"

namespace futured::bench {

void throughput(Report& report);
void round_trip(Report& report);
void downloads(Report& report);
void state_change(Report& report);
void memory(Report& report);
/// `only`: those with this in their name; empty: all.
void turns(Report& report, const std::string& only);
void ping(Report& report);
void lateness(Report& report);
void simulator(Report& report);

}  // namespace futured::bench
