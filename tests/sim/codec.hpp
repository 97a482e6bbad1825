// The messages of the simulated peers in the wire format, so that some histories run through the real envelope,
// Decoder and Encoder.
#pragma once

#include "futured/v1/client.pb.h"
#include "futured/v1/worker.pb.h"
#include "proto/envelope.hpp"
#include "tests/sim/messages.hpp"

namespace futured::sim {

/// A message of a peer to the daemon; only those that carry batches.
wire::Frames to_frames(const Message& message);
/// What a peer makes of a message of the daemon. Throws Violation if it is not well-formed.
Message from_frames(const wire::Frames& frames);

}  // namespace futured::sim
