"""The envelope and the payload columns of the futured protocol (proto/README.md), shared by client and worker.

Needs python3-zmq, python3-protobuf and the modules protoc makes of proto/futured/v1/*.proto on the module path.
"""

import random
import struct
import time

import zmq

from futured.v1 import client_pb2, common_pb2, worker_pb2

VERSION = 1
FRAMED_FROM = 8192  # payloads of this size and more travel as frames of their own
MAX_FRAMES = 64  # after frame 0
MAX_BATCH = 4096
BATCH_COUNT = 256  # a batch that waits for an acknowledgement goes anyway at this many elements
BATCH_BYTES = 16 * 1024  # or at this many bytes of payload
TOKEN_BYTES = 16

HELLO_DEADLINE = 1.0
BACKOFF_FIRST = 0.05
BACKOFF_MAX = 1.0

PREFIX = struct.Struct("<2sBBBBH")

MESSAGES = {
    common_pb2.KIND_HELLO: common_pb2.Hello,
    common_pb2.KIND_WELCOME: common_pb2.Welcome,
    common_pb2.KIND_REHELLO: common_pb2.Rehello,
    common_pb2.KIND_REFUSED: common_pb2.Refused,
    common_pb2.KIND_GOAWAY: common_pb2.GoAway,
    common_pb2.KIND_GOODBYE: common_pb2.Goodbye,
    common_pb2.KIND_PING: common_pb2.Ping,
    common_pb2.KIND_PONG: common_pb2.Ping,
    common_pb2.KIND_SUBMIT: client_pb2.Submit,
    common_pb2.KIND_ACCEPTED: client_pb2.Accepted,
    common_pb2.KIND_OUTCOMES: client_pb2.Outcomes,
    common_pb2.KIND_DELIVERED: client_pb2.Delivered,
    common_pb2.KIND_STARTED: client_pb2.Started,
    common_pb2.KIND_OUTPUT: client_pb2.Output,
    common_pb2.KIND_CANCEL: client_pb2.Cancel,
    common_pb2.KIND_CANCELLED: client_pb2.Cancelled,
    common_pb2.KIND_ATTACH: client_pb2.Attach,
    common_pb2.KIND_ATTACHED: client_pb2.Attached,
    common_pb2.KIND_REQUEST: client_pb2.Request,
    common_pb2.KIND_REPLY: client_pb2.Reply,
    common_pb2.KIND_RUN: worker_pb2.Run,
    common_pb2.KIND_RAN: worker_pb2.Ran,
    common_pb2.KIND_RAN_ACK: worker_pb2.RanAck,
    common_pb2.KIND_RUNNING: worker_pb2.Running,
    common_pb2.KIND_CREDIT: worker_pb2.Credit,
    common_pb2.KIND_STOP: worker_pb2.Stop,
    common_pb2.KIND_RECALL: worker_pb2.Recall,
    common_pb2.KIND_RECALLED: worker_pb2.Recalled,
    common_pb2.KIND_EMITTED: worker_pb2.Emitted,
    common_pb2.KIND_EMIT_CREDIT: worker_pb2.EmitCredit,
    common_pb2.KIND_DRAIN: worker_pb2.Drain,
    common_pb2.KIND_ANNOUNCE: worker_pb2.Announce,
}


class BadMessage(Exception):
    """What came is not a message of this protocol."""


class Refused(Exception):
    """The daemon does not accept the connection; trying again does not help."""

    def __init__(self, refused):
        super().__init__(refused.problem.message.decode(errors="replace"))
        self.code = refused.problem.code
        self.versions = (refused.version_min, refused.version_max)


class Message:
    """A received message: its kind, the decoded protobuf message and the payload frames."""

    def __init__(self, kind, body, frames):
        self.kind, self.body, self.frames = kind, body, frames

    def __repr__(self):
        return f"{common_pb2.Kind.Name(self.kind)} {{{self.body}}} +{len(self.frames)} frames"


def encode(kind, body, generation, frames=(), version=VERSION):
    """The frames of one message. `body` is a protobuf message or its bytes."""
    if not isinstance(body, bytes):
        body = body.SerializeToString()
    return [PREFIX.pack(b"fd", version, kind, 0, len(frames), generation) + body, *frames]


def decode(frames):
    """-> (generation, Message); None for a message of a kind this side does not know. Raises BadMessage."""
    if len(frames[0]) < PREFIX.size:
        raise BadMessage("frame 0 is shorter than its prefix")
    magic, version, kind, _, count, generation = PREFIX.unpack_from(frames[0])
    if magic != b"fd" or version != VERSION:
        raise BadMessage("not a message of this protocol")
    if count != len(frames) - 1:
        raise BadMessage(f"the prefix announces {count} payload frames, {len(frames) - 1} came")
    if kind not in MESSAGES:
        return generation, None
    body = MESSAGES[kind]()
    try:
        body.ParseFromString(frames[0][PREFIX.size:])
    except Exception as error:
        raise BadMessage(str(error)) from error
    return generation, Message(kind, body, frames[1:])


def pack_payloads(payloads, column):
    """Fills a Payloads column and returns the payload frames that go with it."""
    frames, blob = [], []
    for index, payload in enumerate(payloads):
        column.size.append(len(payload))
        if len(payload) >= FRAMED_FROM:
            column.framed.append(index)
            frames.append(payload)
        else:
            blob.append(payload)
    column.blob = b"".join(blob)
    return frames


def unpack_payloads(column, frames, count):
    """The payloads of a batch of `count` elements. Raises BadMessage if sizes, blob and frames do not agree."""
    if not column.size:
        column.size.extend([0] * count)
    if len(column.size) != count or len(column.framed) != len(frames):
        raise BadMessage("the payload column does not fit its batch")
    framed, payloads, at = dict(zip(column.framed, frames)), [], 0
    for index, size in enumerate(column.size):
        if index in framed:
            payload = framed[index]
        else:
            payload, at = column.blob[at:at + size], at + size
        if len(payload) != size:
            raise BadMessage("a payload has another size than its column says")
        payloads.append(payload)
    return payloads


def deltas(values):
    previous, result = 0, []
    for value in values:
        result.append(value - previous)
        previous = value
    return result


def undeltas(differences):
    value, result = 0, []
    for difference in differences:
        value += difference
        result.append(value)
    return result


def tokens_of(joined):
    if len(joined) % TOKEN_BYTES:
        raise BadMessage("tokens are 16 bytes each")
    return [joined[at:at + TOKEN_BYTES] for at in range(0, len(joined), TOKEN_BYTES)]


def fits_batch(payloads, payload, max_count=MAX_BATCH):
    """Whether `payload` may join the batch of `payloads`: the bounds on elements and on frames."""
    if len(payloads) >= max_count:
        return False
    return len(payload) < FRAMED_FROM or sum(len(p) >= FRAMED_FROM for p in payloads) < MAX_FRAMES


class Connection:
    """One DEALER socket: one generation. Never reconnects by itself; a new connection is a new object.

    `lost` tells that the connection has ended: what is said from then on goes nowhere.
    """

    def __init__(self, context, endpoint, generation):
        self.generation = generation
        self.lost = False
        self.socket = context.socket(zmq.DEALER)
        self.socket.setsockopt(zmq.RECONNECT_IVL, -1)
        self.socket.setsockopt(zmq.LINGER, 0)
        # Credits bound what is under way; a queue limit of the transport's own would only block or drop.
        self.socket.setsockopt(zmq.SNDHWM, 0)
        self.socket.setsockopt(zmq.RCVHWM, 0)
        self.monitor = self.socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        self.socket.connect(endpoint)
        self.poller = zmq.Poller()
        self.poller.register(self.socket, zmq.POLLIN)
        self.poller.register(self.monitor, zmq.POLLIN)
        self.heard = self.said = time.monotonic()

    def send(self, kind, body, frames=()):
        self.said = time.monotonic()
        try:
            # A blocking send would wait for ever once the connection has ended.
            self.socket.send_multipart(encode(kind, body, self.generation, frames), zmq.DONTWAIT)
        except zmq.Again:
            self.lost = True

    def receive(self, timeout):
        """The next message of this generation, or None after `timeout` seconds or when the connection has ended.

        Drops what is not understood.
        """
        end = time.monotonic() + timeout
        while True:
            left = max(0.0, end - time.monotonic())
            # Rounded up: a rest below a millisecond must not become a busy loop.
            ready = dict(self.poller.poll(0 if self.lost else int(left * 1000 + 0.999)))
            if self.socket not in ready:
                self.lost = self.lost or self.monitor in ready
                return None
            try:
                generation, message = decode(self.socket.recv_multipart())
            except BadMessage:
                continue
            if generation != self.generation or message is None:
                continue
            self.heard = time.monotonic()
            return message

    def close(self, linger=0):
        self.socket.disable_monitor()
        self.monitor.close(linger=0)
        self.socket.close(linger=int(linger * 1000))


def open_connection(context, endpoint, generation, hello, deadline):
    """Says HELLO on new sockets until one is answered -> (Connection, Welcome).

    `generation` is the first to use; every attempt takes the next. Raises Refused, or TimeoutError at `deadline`
    (monotonic seconds).
    """
    pause = BACKOFF_FIRST
    while True:
        connection = Connection(context, endpoint, generation % 65536)
        connection.send(common_pb2.KIND_HELLO, hello)
        answer = connection.receive(max(0.0, min(HELLO_DEADLINE, deadline - time.monotonic())))
        if answer is not None and answer.kind == common_pb2.KIND_WELCOME:
            return connection, answer.body
        connection.close()
        if answer is not None and answer.kind == common_pb2.KIND_REFUSED:
            raise Refused(answer.body)
        if time.monotonic() + pause >= deadline:
            raise TimeoutError(f"no daemon answered at {endpoint}")
        time.sleep(pause * random.uniform(0.5, 1.0))
        pause = min(2 * pause, BACKOFF_MAX)
        generation += 1
