"""A small worker of futured, written from proto/README.md and proto/futured/v1/*.proto alone.

It offers py.upper (bytes -> upper case), py.fail (fails with its input as message), py.sleep (input: seconds as text;
stops early when told), py.gate (replies with its process id once the file named by its input exists) and py.count
(input: n as text; emits the numbers below n as output, one per line). The functions run on threads; one loop owns the
socket and all state.

    futured_worker.py --endpoint E [--pool P] [--threads N] [--prefetch N] [--spool FILE]

Prints `ready WORKER-ID` after each WELCOME. SIGTERM: gives back what has not started, finishes what runs, says GOODBYE.
SIGHUP: connects again, as after a lost connection. With --spool each call that starts appends a line `PID TYPE` to FILE.
"""

import argparse
import collections
import os
import queue
import signal
import socket
import sys
import threading
import time

import zmq

import futured_wire as wire
from futured.v1 import common_pb2, worker_pb2

LIVE_OUTPUT_START = 256 * 1024
LIVE_OUTPUT_CHUNK = 64 * 1024
NAME_AFTER = 0.005  # a call that has run this long is named in RUNNING


class Stopped(Exception):
    """Raised by a function that ended because it was told to."""


class Context:
    """What a running function has: whether it should stop, and a way to emit."""

    def __init__(self, worker, call):
        self.worker, self.call = worker, call

    def wait(self, seconds):
        if self.call.stop.wait(seconds):
            raise Stopped()

    def emit(self, data, stream=1):
        self.worker.from_threads.put(("emit", self.call, stream, data))
        self.worker.wake()


def upper(payload, context):
    return payload.upper()


def fail(payload, context):
    raise RuntimeError(payload.decode(errors="replace"))


def sleep(payload, context):
    context.wait(float(payload))
    return payload


def gate(payload, context):
    while not os.path.exists(payload):
        context.wait(0.01)
    return b"%d" % os.getpid()


def count(payload, context):
    for number in range(int(payload)):
        context.emit(b"%d\n" % number)
    return payload


FUNCTIONS = {b"py.upper": upper, b"py.fail": fail, b"py.sleep": sleep, b"py.gate": gate, b"py.count": count}


class Call:
    def __init__(self, token, spec, payload):
        self.token, self.spec, self.payload = token, spec, payload
        self.stop = threading.Event()
        self.started = None  # monotonic
        self.named = False
        self.emit_credit = LIVE_OUTPUT_START
        self.emitted = 0
        self.held = collections.deque()  # (stream, data) beyond the credit
        self.ending = None  # (reply, error): ended, but output is still held


class Worker:
    def __init__(self, endpoint, *, pool="", threads=1, prefetch=1, functions=None, spool=None):
        self.endpoint, self.pool, self.threads, self.prefetch = endpoint, pool, threads, prefetch
        self.functions = functions or FUNCTIONS
        self.spool = spool
        self.context = zmq.Context.instance()
        self.instance = os.urandom(16)
        self.generation = 0
        self.connection, self.welcome = None, None
        self.orders = queue.SimpleQueue()  # of signal handlers
        self.leaving = False  # no new calls, then GOODBYE
        self.give_back = False  # what has not started goes back
        self.pinged = 0.0

        self.waiting = collections.OrderedDict()  # token -> Call, not started
        self.running = {}  # token -> Call
        self.finished = 0  # of the calls of this connection: ended or given back
        self.credit = 0  # as last told on this connection
        self.foreign = set()  # tokens of calls that an earlier connection brought: outside this one's credit
        self.ended = collections.deque()  # (report, token, reply, error, cancelled), not acknowledged
        self.next_report = 0
        self.said_report = 0  # reports below are in a RAN of this connection
        self.acked = 0
        self.busy_ns = 0

        self.to_threads = queue.SimpleQueue()
        self.from_threads = queue.SimpleQueue()
        self.wake_read, self.wake_write = os.pipe()
        os.set_blocking(self.wake_write, False)
        for _ in range(threads):
            threading.Thread(target=self._thread, daemon=True).start()

    # Threads that call functions

    def wake(self):
        try:
            os.write(self.wake_write, b"x")
        except BlockingIOError:
            pass

    def _thread(self):
        while True:
            call = self.to_threads.get()
            began = time.monotonic_ns()
            reply, error = b"", None
            try:
                reply = self.functions[call.spec.type](call.payload, Context(self, call))
            except Stopped:
                error = common_pb2.Error(kind=common_pb2.ERROR_KIND_ERROR, message=b"stopped")
            except Exception as failure:
                error = common_pb2.Error(kind=common_pb2.ERROR_KIND_ERROR, message=str(failure).encode())
            self.from_threads.put(("end", call, reply, error, time.monotonic_ns() - began))
            self.wake()

    # The loop

    def run(self):
        self._connect()
        while True:
            self._take_orders()
            self._take_from_threads()
            self._start_calls()
            self._name_running()
            self._send_reports()
            if self._may_leave():
                break
            self._poll()
        self.connection.send(common_pb2.KIND_GOODBYE, common_pb2.Goodbye())
        self.connection.close(linger=1)

    def _may_leave(self):
        return self.leaving and not self.waiting and not self.running and not self.ended

    def _take_orders(self):
        while not self.orders.empty():
            if self.orders.get() == "leave":
                self._leave(give_back=True)
            else:
                self._reconnect()

    def _poll(self):
        poller = zmq.Poller()
        poller.register(self.connection.socket, zmq.POLLIN)
        poller.register(self.connection.monitor, zmq.POLLIN)
        poller.register(self.wake_read, zmq.POLLIN)
        if self.wake_read in dict(poller.poll(0 if self.connection.lost else self._timeout() * 1000)):
            os.read(self.wake_read, 4096)
        message = self.connection.receive(0)
        while message is not None:
            self._handle(message)
            message = self.connection.receive(0)
        if self.connection.lost:
            self._reconnect()
        else:
            self._check_silence()

    def _timeout(self):
        now = time.monotonic()
        unnamed = [call.started + NAME_AFTER - now for call in self.running.values() if not call.named]
        return max(0.0, min([self._heartbeat() / 2, *unnamed]))

    def _heartbeat(self):
        return self.welcome.heartbeat_ns / 1e9 or 5.0

    def _check_silence(self):
        now = time.monotonic()
        silent = now - self.connection.heard
        if silent > 3 * self._heartbeat():
            self._reconnect()
        elif silent > self._heartbeat() and now - self.pinged > self._heartbeat():
            self.pinged = now
            self.connection.send(common_pb2.KIND_PING, common_pb2.Ping(id=1))

    # Connections

    def _connect(self):
        self.foreign = {*self.waiting, *self.running}
        self.finished = self.credit = 0
        types = [common_pb2.TaskType(name=name, lane=common_pb2.LANE_THREAD, summary=b"a Python function")
                 for name in self.functions]
        hello = common_pb2.Hello(
            role=common_pb2.Hello.WORKER, version_min=wire.VERSION, version_max=wire.VERSION,
            software=b"futured_worker.py", host=socket.gethostname().encode(), pid=os.getpid(), instance=self.instance,
            pool=self.pool.encode(), threads=self.threads, types=types, thread_credit=self._credit())
        self.connection, self.welcome = wire.open_connection(
            self.context, self.endpoint, self.generation + 1, hello, time.monotonic() + 3600)
        self.generation = self.connection.generation
        if self.generation > 1:
            # Also if no earlier HELLO was answered: one may have arrived, and then the daemon waits for this.
            self.connection.send(common_pb2.KIND_ANNOUNCE, worker_pb2.Announce(
                running=b"".join(self.running), waiting=b"".join(self.waiting),
                ended=b"".join(entry[1] for entry in self.ended), end=True))
        self.said_report = self.acked
        for call in self.running.values():
            call.named = True  # ANNOUNCE has named it
            if call.emitted:  # the daemon may have missed some of it
                self.connection.send(common_pb2.KIND_EMITTED, worker_pb2.Emitted(
                    token=call.token, offset=call.emitted))
        print(f"ready {self.welcome.worker}", flush=True)

    def _reconnect(self):
        self.connection.close()
        self._connect()

    def _credit(self):
        if not self.leaving:
            self.credit = max(self.credit, self.finished + self.threads + self.prefetch - len(self.foreign))
        return self.credit

    # Messages

    def _handle(self, message):
        body = message.body
        if message.kind == common_pb2.KIND_RUN:
            self._run(body, message.frames)
        elif message.kind == common_pb2.KIND_RAN_ACK:
            self._acknowledged(body.reports)
        elif message.kind == common_pb2.KIND_STOP:
            for token in wire.tokens_of(body.tokens):
                self._stop(token)
        elif message.kind == common_pb2.KIND_RECALL:
            self._recall(wire.tokens_of(body.tokens))
        elif message.kind == common_pb2.KIND_EMIT_CREDIT:
            call = self.running.get(body.token)
            if call is not None:
                call.emit_credit = max(call.emit_credit, body.bytes)
                self._emit_held(call)
        elif message.kind == common_pb2.KIND_PING:
            self.connection.send(common_pb2.KIND_PONG, body)
        elif message.kind == common_pb2.KIND_DRAIN:
            self._leave(give_back=body.now)
            if body.now:
                for call in self.running.values():
                    call.stop.set()
        elif message.kind == common_pb2.KIND_REHELLO:
            self._reconnect()

    def _acknowledged(self, reports):
        self.acked = max(self.acked, reports)
        while self.ended and self.ended[0][0] < self.acked:
            self.ended.popleft()

    def _run(self, body, frames):
        self._acknowledged(body.reports)
        tokens = wire.tokens_of(body.tokens)
        payloads = wire.unpack_payloads(body.payloads, frames, len(tokens))
        for index, (token, payload) in enumerate(zip(tokens, payloads)):
            spec = body.specs[body.spec_of[index] if body.spec_of else 0]
            self.waiting[token] = Call(token, spec, payload)
        if self.give_back:
            self._recall(list(self.waiting))

    def _start_calls(self):
        while self.waiting and len(self.running) < self.threads:
            token, call = self.waiting.popitem(last=False)
            if call.spec.type not in self.functions:
                self._end(call, b"", common_pb2.Error(kind=common_pb2.ERROR_KIND_REJECTED, permanent=True,
                                                      message=b"this worker does not offer " + call.spec.type), False)
                continue
            call.started = time.monotonic()
            self.running[token] = call
            if self.spool:
                with open(self.spool, "ab", buffering=0) as spool:
                    spool.write(b"%d %s\n" % (os.getpid(), call.spec.type))
            self.to_threads.put(call)

    def _stop(self, token):
        if token in self.waiting:
            self._end(self.waiting.pop(token), b"", common_pb2.Error(message=b"cancelled before it started"), True)
        elif token in self.running:
            self.running[token].stop.set()

    def _recall(self, tokens):
        answer = worker_pb2.Recalled(tokens=b"".join(tokens))
        for token in tokens:
            returned = self.waiting.pop(token, None) is not None
            answer.returned.append(returned)
            if returned:
                self._gone(token)
        answer.thread_credit = self._credit()
        self.connection.send(common_pb2.KIND_RECALLED, answer)

    def _leave(self, give_back):
        self.leaving = True
        self.give_back = self.give_back or give_back
        if self.give_back and self.waiting:
            self._recall(list(self.waiting))  # unasked: it names only what goes back

    def _gone(self, token):
        if token in self.foreign:
            self.foreign.discard(token)
        else:
            self.finished += 1

    # Ends, output and reports

    def _take_from_threads(self):
        while True:
            try:
                what, call, *rest = self.from_threads.get_nowait()
            except queue.Empty:
                return
            if what == "emit":
                call.held.append(rest)
                self._emit_held(call)
            else:
                reply, error, took = rest
                self.busy_ns += took
                call.ending = (reply, error)
                self._emit_held(call)

    def _emit_held(self, call):
        while call.held:
            stream, data = call.held[0]
            if not call.spec.live_output:
                call.held.popleft()  # nobody follows it
                continue
            room = min(call.emit_credit - call.emitted, LIVE_OUTPUT_CHUNK)
            if room <= 0:
                break
            call.held.popleft()
            if len(data) > room:
                call.held.appendleft((stream, data[room:]))
                data = data[:room]
            self.connection.send(common_pb2.KIND_EMITTED, worker_pb2.Emitted(
                token=call.token, stream=stream, offset=call.emitted, data=data))
            call.emitted += len(data)
        if call.ending is not None and not call.held:
            del self.running[call.token]
            reply, error = call.ending
            self._end(call, reply, error, error is not None and call.stop.is_set())

    def _end(self, call, reply, error, cancelled):
        self._gone(call.token)
        self.ended.append((self.next_report, call.token, reply, error, cancelled))
        self.next_report += 1

    def _send_reports(self):
        """At once when no RAN is unacknowledged; otherwise when enough has gathered."""
        while self.said_report < self.next_report:
            unsaid = [entry for entry in self.ended if entry[0] >= self.said_report]
            waits = len(unsaid) < wire.BATCH_COUNT and sum(len(entry[2]) for entry in unsaid) < wire.BATCH_BYTES
            if self.said_report > self.acked and waits:
                return
            replies, body = [], worker_pb2.Ran(first_report=self.said_report)
            for index, (_, token, reply, error, cancelled) in enumerate(unsaid):
                if not wire.fits_batch(replies, reply):
                    break
                replies.append(reply)
                body.tokens += token
                if error is not None:
                    body.failures.add(index=index, error=error, cancelled=cancelled)
            frames = wire.pack_payloads(replies, body.payloads)
            body.thread_credit = self._credit()
            body.busy_ns, self.busy_ns = self.busy_ns, 0
            self._name_running(at_once=True)
            self.connection.send(common_pb2.KIND_RAN, body, frames)
            self.said_report += len(replies)

    def _name_running(self, at_once=False):
        before = time.monotonic() - (0 if at_once else NAME_AFTER)
        calls = [call for call in self.running.values() if not call.named and call.started <= before]
        if calls:
            self.connection.send(common_pb2.KIND_RUNNING, worker_pb2.Running(tokens=b"".join(c.token for c in calls)))
        for call in calls:
            call.named = True

    def order(self, what):
        """`leave` or `reconnect`, from a signal handler."""
        self.orders.put(what)
        self.wake()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--pool", default="")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--prefetch", type=int, default=1)
    parser.add_argument("--spool")
    arguments = parser.parse_args()
    worker = Worker(arguments.endpoint, pool=arguments.pool, threads=arguments.threads, prefetch=arguments.prefetch,
                    spool=arguments.spool)
    signal.signal(signal.SIGTERM, lambda *_: worker.order("leave"))
    signal.signal(signal.SIGHUP, lambda *_: worker.order("reconnect"))
    try:
        worker.run()
    except wire.Refused as refused:
        print(f"refused: {refused}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
