// Who waits for whom: lists in one slab, in order of arrival. A list is a ring named by its last edge; it belongs to a
// task or a group that has not ended. An edge whose dependant is gone stays until its list is released.
#pragma once

#include <cstdint>
#include <vector>

#include "daemon/scheduler/task.hpp"

namespace futured::scheduler {

struct Edge {
  TaskNumber dependant = 0;
  EdgeId next = kNone;
  Condition on = Condition::success;
  bool input = false;  ///< the reply becomes part of the dependant's input
};

class EdgeTable {
 public:
  /// Appends to the list.
  void add(EdgeId& list, const Edge& edge) {
    EdgeId id = 0;
    if (free_.empty()) {
      id = static_cast<EdgeId>(edges_.size());
      edges_.emplace_back();
    } else {
      id = free_.back();
      free_.pop_back();
    }
    edges_[id] = edge;
    if (list == kNone) {
      edges_[id].next = id;
    } else {
      edges_[id].next = edges_[list].next;
      edges_[list].next = id;
    }
    list = id;
  }
  /// Takes the first of the list, which must not be empty.
  Edge take(EdgeId& list) {
    const EdgeId id = edges_[list].next;
    const Edge edge = edges_[id];
    if (id == list) {
      list = kNone;
    } else {
      edges_[list].next = edge.next;
    }
    free_.push_back(id);
    return edge;
  }
  const Edge& operator[](EdgeId id) const { return edges_[id]; }
  std::size_t live() const { return edges_.size() - free_.size(); }

 private:
  std::vector<Edge> edges_;
  std::vector<EdgeId> free_;
};

}  // namespace futured::scheduler
