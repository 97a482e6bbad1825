"""A client and a worker that know only proto/README.md and the .proto files, against the real daemon.

Environment: FUTURED_BIN_DIR (futured, futured-worker, fut), FUTURED_PLUGIN_DIR, and in PYTHONPATH what protoc made.
Exit status 77: Python's ZeroMQ or protobuf is not installed.
"""

import contextlib
import itertools
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

try:
    import zmq
    import google.protobuf  # noqa: F401
except ImportError as missing:
    print(f"skipped: {missing}; the packages are python3-zmq and python3-protobuf")
    sys.exit(77)

import futured_wire as wire
from futured.v1 import client_pb2, common_pb2, worker_pb2
from futured_client import Client, new_stream

HERE = os.path.dirname(os.path.abspath(__file__))
BIN = os.environ.get("FUTURED_BIN_DIR", "")
PLUGINS = os.environ.get("FUTURED_PLUGIN_DIR", "")
PATIENCE = 40.0
V = client_pb2.Cancelled


def until(condition, what):
    """Asks again until `condition` holds: for what the daemon tells only when asked."""
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {PATIENCE} s")
        time.sleep(0.005)


class Process:
    """A program of a test, with its output in a file."""

    def __init__(self, name, arguments, folder, environment=None, pipe=False):
        self.log_path = os.path.join(folder, f"{name}.log")
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(arguments, env=environment, stderr=log, stdin=subprocess.DEVNULL,
                                            stdout=subprocess.PIPE if pipe else log, bufsize=0)

    @property
    def pid(self):
        return self.process.pid

    def log(self):
        with open(self.log_path, errors="replace") as log:
            return log.read()

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self):
        return self.process.wait(PATIENCE)

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()


class Daemon(Process):
    names = itertools.count(1)

    def __init__(self, folder, *arguments, endpoint=None):
        run = os.path.join(folder, "run")
        os.makedirs(run, mode=0o700, exist_ok=True)
        name = f"futured{next(self.names)}"
        self.endpoint = endpoint or f"ipc://{run}/{name}.sock"
        environment = dict(os.environ, XDG_RUNTIME_DIR=run)
        super().__init__(name, [os.path.join(BIN, "futured"), "--listen", self.endpoint, "--plugin-dir", PLUGINS,
                                *arguments], folder, environment)

    def resident_bytes(self):
        with open(f"/proc/{self.pid}/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Worker(Process):
    """futured_worker.py; `ready` is the worker's number after each WELCOME."""

    names = itertools.count(1)

    def __init__(self, folder, endpoint, pool, threads=1, prefetch=1):
        self.spool = os.path.join(folder, f"spool.{pool}")
        super().__init__(f"worker{next(self.names)}.{pool}", [
            sys.executable, "-X", "faulthandler", os.path.join(HERE, "futured_worker.py"), "--endpoint", endpoint,
            "--pool", pool, "--threads", str(threads), "--prefetch", str(prefetch), "--spool", self.spool],
            folder, pipe=True)

    def ready(self):
        readable, _, _ = select.select([self.process.stdout], [], [], PATIENCE)
        line = self.process.stdout.readline() if readable else b""
        if not line.startswith(b"ready "):
            self.signal(signal.SIGABRT)  # it says where it stands
            self.wait()
            raise AssertionError(f"the worker says {line!r}, status {self.process.poll()}: {self.log()}")
        return int(line.split()[1])

    def started_calls(self):
        """(process id, type) of each call that was started in the pool."""
        if not os.path.exists(self.spool):
            return []
        with open(self.spool) as spool:
            return [(int(line.split()[0]), line.split()[1]) for line in spool]


class RawPeer:
    """A connection that says exactly what the test wants."""

    def __init__(self, endpoint, generation=1, receive_limit=0):
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.setsockopt(zmq.RECONNECT_IVL, -1)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.SNDHWM, 0)
        self.socket.setsockopt(zmq.RCVHWM, receive_limit)
        self.socket.connect(endpoint)
        self.generation = generation

    def frames(self, *frames):
        self.socket.send_multipart(frames)

    def say(self, kind, body=b"", frames=(), **prefix):
        prefix.setdefault("generation", self.generation)
        self.socket.send_multipart(wire.encode(kind, body, frames=frames, **prefix))

    def hear(self, kind=None, timeout=PATIENCE):
        """The next message (of a kind). Pings are answered on the way."""
        end = time.monotonic() + timeout
        while self.socket.poll(max(0, int((end - time.monotonic()) * 1000))):
            generation, message = wire.decode(self.socket.recv_multipart())
            if generation != self.generation:
                raise AssertionError(f"generation {generation} came, {self.generation} is ours: {message}")
            if message.kind == common_pb2.KIND_PING and kind != common_pb2.KIND_PING:
                self.say(common_pb2.KIND_PONG, message.body)
            elif kind in (None, message.kind):
                return message
        raise TimeoutError(f"no {common_pb2.Kind.Name(kind) if kind else 'message'} came")

    def hello(self, **fields):
        fields = {"role": common_pb2.Hello.CLIENT, "version_min": 1, "version_max": 1, "stream": new_stream(),
                  "result_credit_tasks": 1000, "result_credit_bytes": 1 << 20, "software": b"test_wire.py", **fields}
        self.say(common_pb2.KIND_HELLO, common_pb2.Hello(**fields))
        return self

    def welcomed(self, **fields):
        return self.hello(**fields).hear(common_pb2.KIND_WELCOME).body

    def close(self):
        self.socket.close(linger=0)


def raw_worker(endpoint, pool, credit, instance, generation=1, types=(b"raw",)):
    peer = RawPeer(endpoint, generation)
    peer.welcomed(role=common_pb2.Hello.WORKER, stream=b"", pool=pool.encode(), threads=1, thread_credit=credit,
                  instance=instance, types=[common_pb2.TaskType(name=name) for name in types])
    return peer


class WireTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.class_stack = contextlib.ExitStack()
        cls.folder = cls.class_stack.enter_context(tempfile.TemporaryDirectory(prefix="fdpy"))
        cls.daemon = Daemon(cls.folder, "--processes", "1")
        cls.class_stack.callback(cls.daemon.end)
        cls.endpoint = cls.daemon.endpoint
        with Client(cls.endpoint, connect_timeout=PATIENCE) as client:
            until(lambda: client.workers(), "the daemon's own worker")

    @classmethod
    def tearDownClass(cls):
        try:
            cls.daemon.signal(signal.SIGTERM)
            status = cls.daemon.wait()
            if status != 0:
                raise AssertionError(f"the daemon ended with {status}:\n{cls.daemon.log()}")
        finally:
            cls.class_stack.close()

    def setUp(self):
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)
        self.assertIsNone(self.daemon.process.poll(), f"the daemon has ended:\n{self.daemon.log()[-4000:]}")

    def client(self, endpoint=None, **options):
        client = Client(endpoint or self.endpoint, connect_timeout=PATIENCE, **options)
        self.stack.callback(client.goodbye)
        return client

    def process(self, process):
        self.stack.callback(process.end)
        return process

    def worker(self, pool, endpoint=None, **options):
        worker = self.process(Worker(self.folder, endpoint or self.endpoint, pool, **options))
        worker.number = worker.ready()
        return worker

    def peer(self, *arguments, **options):
        peer = RawPeer(self.endpoint, *arguments, **options)
        self.stack.callback(peer.close)
        return peer

    def gate(self):
        """A path: calls of py.gate with it as input end once open_gate() was called."""
        folder = tempfile.mkdtemp(dir=self.folder)
        return os.path.join(folder, "gate").encode()

    def open_gate(self, path):
        with open(path, "wb"):
            pass

    def results(self, client, tasks):
        client.wait(tasks, PATIENCE)
        for task in tasks:
            self.assertEqual(task.state, common_pb2.STATE_SUCCEEDED, task)
        return [task.result for task in tasks]

    # Tasks and payloads

    def test_a_python_client_uses_a_cpp_worker(self):
        client = self.client()
        inputs = [b"", b"one", bytes(range(256))]
        tasks = client.submit("echo", inputs)
        self.assertEqual(self.results(client, tasks), inputs)
        self.assertEqual([task.number for task in tasks], list(range(tasks[0].number, tasks[0].number + 3)))

    def test_a_python_client_uses_a_python_worker(self):
        self.worker("plain", threads=2)
        client = self.client()
        upper = client.submit("py.upper", [b"hello", b""], pool=b"plain")
        failed = client.submit("py.fail", [b"no such luck"], pool=b"plain")
        self.assertEqual(self.results(client, upper), [b"HELLO", b""])
        client.wait(failed)
        self.assertEqual(failed[0].state, common_pb2.STATE_FAILED)
        self.assertEqual(failed[0].error.kind, common_pb2.ERROR_KIND_ERROR)
        self.assertEqual(failed[0].error.message, b"no such luck")
        self.assertEqual(failed[0].attempts, 1)

    def test_the_command_line_uses_a_python_worker(self):
        fut = os.path.join(BIN, "fut")
        if not os.path.exists(fut):
            self.skipTest("skipped: fut is not built")
        self.worker("line")
        done = subprocess.run([fut, "--connect", self.endpoint, "run", "--pool", "line", "py.upper", "hello"],
                              capture_output=True, timeout=PATIENCE)
        self.assertEqual((done.returncode, done.stdout.strip()), (0, b"HELLO"), done.stderr)

    def test_payloads_travel_in_the_column_and_in_frames_both_ways(self):
        self.worker("frames", threads=2, prefetch=8)
        client = self.client()
        sizes = [0, 1, 8191, 8192, 8193, 100_000, 0, 3 << 20]
        inputs = [b"%c" % (97 + index) * size for index, size in enumerate(sizes)]
        inputs += [b"z%07d" % index * 1025 for index in range(150)]  # more frames than one message may have
        self.assertEqual(self.results(client, client.submit("echo", inputs)), inputs)
        upper = client.submit("py.upper", inputs, pool=b"frames")
        self.assertEqual(self.results(client, upper), [payload.upper() for payload in inputs])

    def test_an_unknown_task_is_rejected_and_the_nearest_name_is_told(self):
        self.worker("nearest")
        client = self.client()
        good, bad = client.submit("py.upper", [b"x"], pool=b"nearest"), client.submit("py.uper", [b"x"])
        client.wait(good + bad)
        self.assertEqual(good[0].result, b"X")
        self.assertEqual(bad[0].error.kind, common_pb2.ERROR_KIND_REJECTED)
        self.assertIn(b"'py.upper'", bad[0].error.message)
        self.assertIsNotNone(bad[0].number)

    def test_a_failed_call_runs_again_as_often_as_retries_says(self):
        worker = self.worker("retries")
        client = self.client()
        [task] = client.wait(client.submit("py.fail", [b"again"], pool=b"retries", retries=2))
        self.assertEqual((task.state, task.attempts), (common_pb2.STATE_FAILED, 3))
        self.assertEqual(worker.started_calls(), [(worker.pid, "py.fail")] * 3)

    def test_live_output_comes_whole_and_before_the_outcome(self):
        self.worker("output")
        client = self.client()
        [task] = client.submit("py.count", [b"100000"], pool=b"output", live_output=True)
        client.wait([task])
        expected = b"".join(b"%d\n" % number for number in range(100000))
        self.assertGreater(len(expected), 2 * 256 * 1024)
        self.assertEqual(bytes(task.output[1]), expected)

    def test_output_that_was_lost_with_a_connection_holds_up_no_call(self):
        worker = raw_worker(self.endpoint, "reader", 1, os.urandom(16))
        self.stack.callback(worker.close)
        client = self.client()
        [task] = client.submit("raw", [b""], pool=b"reader", live_output=True)
        token = worker.hear(common_pb2.KIND_RUN).body.tokens
        window, chunk = 256 * 1024, 32 * 1024

        def emit(first, end):
            for offset in range(first, end, chunk):
                worker.say(common_pb2.KIND_EMITTED, worker_pb2.Emitted(token=token, stream=1, offset=offset,
                                                                       data=b"x" * chunk))
            worker.say(common_pb2.KIND_PING, common_pb2.Ping(id=1))

        emit(0, window)
        worker.hear(common_pb2.KIND_PONG)
        client.reconnect()  # it has read nothing of that
        self.assertGreaterEqual(worker.hear(common_pb2.KIND_EMIT_CREDIT).body.bytes, 2 * window)
        emit(window, 2 * window)
        worker.say(common_pb2.KIND_RAN, worker_pb2.Ran(tokens=token, payloads=common_pb2.Payloads(size=[0])))
        self.results(client, [task])
        self.assertEqual(task.output, {1: b"x" * window})
        self.assertEqual(task.output_lost, window)

    # Cancelling

    def test_each_verdict_of_a_cancel(self):
        self.worker("cancel", threads=1, prefetch=1)
        client = self.client()
        spec = {"pool": b"cancel"}
        [forgotten] = client.wait(client.submit("py.upper", [b"x"], **spec))
        [kept] = client.wait(client.submit("py.upper", [b"x"], keep_ns=10**11, **spec))
        client.deliver()
        client.ping()
        running, ahead, queued = client.submit("py.sleep", [b"100"] * 3, **spec)
        client.wait_started([running])
        unknown = type(running)(10**6)
        verdicts = client.cancel([running, ahead, queued, kept, forgotten, unknown])
        self.assertEqual(verdicts, [V.RUNNING, V.CANCELLED, V.CANCELLED, V.FINISHED, V.FORGOTTEN, V.UNKNOWN])
        client.wait([ahead, queued])
        self.assertEqual(client.cancel([running], running_too=True), [V.REQUESTED])
        client.wait([running])
        self.assertEqual([task.state for task in (running, ahead, queued)], [common_pb2.STATE_CANCELLED] * 3)

    def test_a_goodbye_cancels_what_was_to_end_with_its_client(self):
        self.worker("leaving")
        client, watcher = self.client(), self.client()
        [task] = client.submit("py.sleep", [b"100"], pool=b"leaving", keep_ns=10**11,
                               on_disconnect=common_pb2.Spec.CANCEL)
        client.wait_started([task])
        [(code, seen)] = watcher.attach(numbers=[task.number])
        self.assertEqual(code, common_pb2.CODE_OK)
        client.goodbye()
        watcher.wait([seen])
        self.assertEqual(seen.state, common_pb2.STATE_CANCELLED)

    # Other clients' tasks, questions

    def test_attached_tasks_deliver_their_outcomes_here_too(self):
        self.worker("attach", threads=2)
        owner, other = self.client(), self.client()
        gate = self.gate()
        by_number, by_id = owner.wait_started(owner.submit("py.gate", [gate] * 2, pool=b"attach"))
        [done] = owner.wait(owner.submit("echo", [b"kept"], keep_ns=10**11))
        [gone] = owner.wait(owner.submit("echo", [b"gone"]))
        owner.deliver()
        owner.ping()
        seen = other.attach(numbers=[by_number.number, done.number, 10**9, gone.number], ids=[by_id.id])
        self.assertEqual([code for code, _ in seen], [
            common_pb2.CODE_OK, common_pb2.CODE_OK, common_pb2.CODE_NOT_FOUND, common_pb2.CODE_FORGOTTEN,
            common_pb2.CODE_OK])
        self.open_gate(gate)
        tasks = [task for code, task in seen if code == common_pb2.CODE_OK]
        results = self.results(other, tasks)
        at_owner = self.results(owner, [by_number, by_id])
        self.assertEqual(results, [at_owner[0], b"kept", at_owner[1]])

    def test_questions_are_answered(self):
        worker = self.worker("questions")
        client = self.client()
        tasks = client.wait(client.submit("py.upper", [b"a", b"bc"], pool=b"questions", keep_ns=10**11, group=b"g",
                                          labels=[common_pb2.Header(name=b"colour", value=b"red")]))
        client.ping()
        self.assertEqual(client.status().pid, self.daemon.pid)
        records = client.list(limit=1, groups=[b"g"])  # two pages
        self.assertEqual([record.number for record in records], [task.number for task in tasks])
        self.assertEqual([record.result_bytes for record in records], [1, 2])
        self.assertEqual(records[0].labels[0].value, b"red")
        self.assertEqual(records[0].id, tasks[0].id)
        types = {entry.name: entry for entry in client.catalog()}
        self.assertEqual(types[b"py.upper"].lane, common_pb2.LANE_THREAD)
        self.assertIn(b"echo", types)
        problem = client.ask(catalog=client_pb2.CatalogQuery(types=[b"ecko"])).problem
        self.assertEqual(problem.code, common_pb2.CODE_NOT_FOUND)
        self.assertIn(b"'echo'", problem.message)
        [record] = [record for record in client.workers() if record.id == worker.number]
        self.assertEqual((record.pid, record.pool, record.completed), (worker.pid, b"questions", 2))
        self.assertIn(b"questions", [pool.name for pool in client.pools()])

    def test_scale_starts_and_ends_worker_processes(self):
        client = self.client()

        def ready():
            return next(pool.ready for pool in client.pools() if pool.name == b"default")

        before = ready()
        self.assertFalse(client.scale(2).HasField("problem"))
        until(lambda: ready() == before + 1, "the second process")
        client.scale(1, b"default")
        until(lambda: ready() == before, "the end of the second process")
        self.assertEqual(client.scale(1, b"nowhere").problem.code, common_pb2.CODE_NOT_FOUND)

    # Connections

    def test_a_client_that_reconnects_loses_and_doubles_nothing(self):
        self.worker("resume", threads=2, prefetch=64)
        watcher = self.client()
        client = self.client(window_tasks=16)
        before = watcher.status().submitted_total
        inputs = [b"task %d" % index for index in range(2000)]
        tasks, connections = [], []
        for first in range(0, len(inputs), 100):
            tasks += client.submit("py.upper", inputs[first:first + 100], pool=b"resume")
            if first % 300 == 0:
                # Mostly before ACCEPTED has come, and with outcomes taken but not yet said to be.
                client.auto_deliver = False
                connections.append(client.connection.generation)
                client.reconnect()
                self.assertTrue(client.welcome.resumed)
                client.auto_deliver = True
            client.pump(0)
        self.assertEqual(connections, list(range(1, 1 + len(connections))))
        self.assertEqual(self.results(client, tasks), [payload.upper() for payload in inputs])
        self.assertEqual(client.doubled, 0)
        self.assertEqual(watcher.status().submitted_total - before, len(inputs))
        self.assertEqual(len({task.number for task in tasks}), len(inputs))

    def test_outcomes_that_were_not_taken_come_again_after_a_reconnect(self):
        client = self.client(window_tasks=8)
        client.auto_deliver = False
        tasks = client.submit("echo", [b"%d" % index for index in range(50)])
        client.wait(tasks[:8])
        client.ping()  # all that was sent before is here
        self.assertEqual(sum(task.done for task in tasks), 8)
        # As if the last three had never been handled.
        for task in tasks[5:8]:
            client.tasks[task.handle], task.state, task.result = task, None, None
        client.processed, client.result_bytes = 5, 5
        client.auto_deliver = True
        client.reconnect()
        self.assertEqual(self.results(client, tasks), [b"%d" % index for index in range(50)])

    def test_a_daemon_that_was_restarted_has_lost_what_it_had_acknowledged(self):
        first = self.process(Daemon(self.folder, "--processes", "0"))
        client = self.client(first.endpoint)
        worker = self.worker("restart", first.endpoint)
        gate = self.gate()
        [running] = client.wait_started(client.submit("py.gate", [gate], pool=b"restart"))
        first.signal(signal.SIGKILL)
        first.wait()
        again = client.submit("py.upper", [b"sent into the void"], pool=b"restart")
        self.process(Daemon(self.folder, "--processes", "0", endpoint=first.endpoint))
        self.assertGreater(worker.ready(), 0)  # it has come back by itself; now the task type is known again
        client.reconnect()
        self.assertFalse(client.welcome.resumed)
        self.assertEqual((running.state, running.error.kind), (common_pb2.STATE_FAILED, common_pb2.ERROR_KIND_LOST))
        self.open_gate(gate)
        self.assertEqual(self.results(client, again), [b"SENT INTO THE VOID"])
        until(lambda: client.status().stale_reports == 1, "the report of the call that the first daemon ordered")

    def test_a_stream_that_was_given_up_is_refused_and_a_new_one_goes_on(self):
        self.worker("forgotten")
        client = self.client()
        gate = self.gate()
        [running] = client.wait_started(client.submit("py.gate", [gate], pool=b"forgotten"))
        stream = client.stream
        client.goodbye()

        def refused():
            answer = self.peer().hello(stream=stream).hear()
            return answer.kind == common_pb2.KIND_REFUSED and answer.body.problem.code == common_pb2.CODE_FORGOTTEN

        peer = self.peer()
        if peer.hello(stream=stream).hear().kind == common_pb2.KIND_WELCOME:  # it overtook the GOODBYE
            peer.say(common_pb2.KIND_GOODBYE)
        until(refused, "the end of the session")
        client.connect()
        self.assertNotEqual(client.stream, stream)
        self.assertEqual((running.state, running.error.kind), (common_pb2.STATE_FAILED, common_pb2.ERROR_KIND_LOST))
        self.assertEqual(self.results(client, client.submit("echo", [b"onwards"])), [b"onwards"])
        self.open_gate(gate)

    def test_another_protocol_version_is_refused_and_both_ranges_are_named(self):
        peer = self.peer().hello(version_min=2, version_max=3)
        refused = peer.hear(common_pb2.KIND_REFUSED).body
        self.assertEqual(refused.problem.code, common_pb2.CODE_VERSION)
        self.assertEqual((refused.version_min, refused.version_max), (1, 1))
        self.assertIn(b"version 1", refused.problem.message)
        self.assertIn(b"2..3", refused.problem.message)
        peer = self.peer()
        peer.say(common_pb2.KIND_HELLO, common_pb2.Hello(), version=9)
        refused = peer.hear(common_pb2.KIND_REFUSED).body
        self.assertEqual((refused.problem.code, refused.version_max), (common_pb2.CODE_VERSION, 1))
        self.peer().welcomed(version_min=1, version_max=7)

    def test_before_hello_every_message_is_answered_by_rehello(self):
        for kind, body in [(common_pb2.KIND_SUBMIT, client_pb2.Submit()), (common_pb2.KIND_RAN, worker_pb2.Ran()),
                           (common_pb2.KIND_PING, common_pb2.Ping(id=4)), (200, b"?")]:
            peer = self.peer(generation=7)
            peer.say(kind, body)
            self.assertEqual(peer.hear().kind, common_pb2.KIND_REHELLO)
            peer.welcomed()

    def test_a_message_of_another_generation_is_dropped_and_the_next_is_not(self):
        peer = self.peer(generation=5)
        peer.welcomed()
        peer.say(common_pb2.KIND_PING, common_pb2.Ping(id=1), generation=4)
        peer.say(common_pb2.KIND_PING, common_pb2.Ping(id=2))
        self.assertEqual(peer.hear().body.id, 2)

    def test_garbage_disturbs_no_other_client(self):
        self.worker("garbage")
        client = self.client()
        gate = self.gate()
        tasks = client.submit("py.gate", [gate], pool=b"garbage")
        client.wait_started(tasks)
        bad = client.status().bad_messages
        hello = wire.encode(common_pb2.KIND_HELLO, common_pb2.Hello(role=common_pb2.Hello.CLIENT), 1)[0]
        garbage = [
            [b""], [b"fd"], hello[:wire.PREFIX.size - 1], b"GET / HTTP/1.1\r\n\r\n", os.urandom(5000),
            [b"", hello],  # a delimiter frame
            wire.PREFIX.pack(b"fd", 1, common_pb2.KIND_SUBMIT, 0, 3, 1),  # frames announced and not there
            [hello, b"more", b"than announced"],
            [b"x"] * 70, [hello[:5] + bytes([70]) + hello[6:]] + [b"x"] * 70,
        ]
        for frames in garbage:
            peer = self.peer()
            peer.frames(*([frames] if isinstance(frames, bytes) else frames))
            peer.say(common_pb2.KIND_PING, common_pb2.Ping())
            self.assertEqual(peer.hear().kind, common_pb2.KIND_REHELLO)  # the daemon is past it
            peer.welcomed()  # and bears no grudge
        self.assertEqual(client.status().bad_messages, bad + len(garbage))
        # A prefix that is right before a body that is not ends that connection alone.
        submit = client_pb2.Submit(specs=[common_pb2.Spec(type=b"echo")],
                                   payloads=common_pb2.Payloads(size=[5], blob=b"12345"))
        short_blob, ghost_frame, no_spec = (client_pb2.Submit.FromString(submit.SerializeToString()) for _ in range(3))
        short_blob.payloads.blob = b"123"
        ghost_frame.payloads.framed.append(0)
        del no_spec.specs[:]
        bodies = [submit.SerializeToString()[:-3], b"\xff" * 40, short_blob.SerializeToString(),
                  ghost_frame.SerializeToString(), no_spec.SerializeToString()]
        for body in bodies:
            peer = self.peer()
            peer.welcomed()
            peer.say(common_pb2.KIND_SUBMIT, body)
            refused = peer.hear().body
            self.assertEqual(refused.problem.code, common_pb2.CODE_INVALID)
        self.assertEqual(client.status().bad_messages, bad + len(garbage) + len(bodies))
        # What is not even ZeroMQ.
        with socket.socket(socket.AF_UNIX) as plain:
            plain.connect(self.endpoint.removeprefix("ipc://"))
            plain.sendall(b"\x00" * 4096 + os.urandom(4096))
            self.open_gate(gate)
            self.results(client, tasks)
        self.assertEqual(client.reconnects, 0)

    def test_a_submit_beyond_the_credit_or_out_of_order_is_refused(self):
        for first_seq in (1, 1 << 41):
            peer = self.peer()
            peer.welcomed()
            peer.say(common_pb2.KIND_SUBMIT, client_pb2.Submit(
                first_seq=first_seq, specs=[common_pb2.Spec(type=b"echo")], payloads=common_pb2.Payloads(size=[0])))
            self.assertEqual(peer.hear().kind, common_pb2.KIND_REFUSED)

    def test_a_submit_that_is_sent_again_is_harmless(self):
        watcher = self.client()
        before = watcher.status().submitted_total
        peer = self.peer()
        peer.welcomed()

        def submit(first, end):
            peer.say(common_pb2.KIND_SUBMIT, client_pb2.Submit(
                first_seq=first, specs=[common_pb2.Spec(type=b"echo")],
                payloads=common_pb2.Payloads(size=[1] * (end - first), blob=b"x" * (end - first))))

        for first, end in [(0, 3), (0, 3), (1, 2), (1, 5)]:  # the last brings two that are new
            submit(first, end)
        handles = []
        while len(handles) < 5:
            handles += wire.undeltas(peer.hear(common_pb2.KIND_OUTCOMES).body.handle_delta)
        peer.say(common_pb2.KIND_PING, common_pb2.Ping())
        self.assertEqual(peer.hear().kind, common_pb2.KIND_PONG)  # and nothing else
        self.assertEqual(sorted(handles), list(range(5)))
        self.assertEqual(watcher.status().submitted_total - before, 5)

    def test_a_client_that_never_reads_stops_nobody_and_its_results_wait(self):
        count, size, window = 20_000, 1000, 64
        other = self.client()
        self.results(other, other.submit("echo", [b"warm"] * 1000))
        before = other.status()
        resident = self.daemon.resident_bytes()
        # The receive queue of ZeroMQ is as small as can be: what the daemon sends stays with the daemon.
        peer = self.peer(receive_limit=1)
        stream = new_stream()
        credit = peer.welcomed(stream=stream, result_credit_tasks=window, result_credit_bytes=1 << 20).submit_credit_tasks
        early = []  # outcomes that came while it looked for credit
        payload = os.urandom(size)
        for first in range(0, count, 500):
            while credit < first + 500:  # it grows with what is accepted
                message = peer.hear()
                accepted = [message.body] if message.kind == common_pb2.KIND_ACCEPTED else message.body.accepted
                credit = max([credit] + [a.submit_credit_tasks for a in accepted])
                if message.kind == common_pb2.KIND_OUTCOMES:
                    early += wire.undeltas(message.body.handle_delta)
            peer.say(common_pb2.KIND_SUBMIT, client_pb2.Submit(
                first_seq=first, specs=[common_pb2.Spec(type=b"echo")],
                payloads=common_pb2.Payloads(size=[size] * 500, blob=payload * 500)))
            if first % 5000 == 0:  # the other client goes on meanwhile
                self.assertEqual(self.results(other, other.submit("echo", [b"on"])), [b"on"])
        until(lambda: other.status().completed_total - before.completed_total >= count + 4, "all tasks to end")
        self.assertEqual(self.results(other, other.submit("echo", [b"still"])), [b"still"])
        grown = self.daemon.resident_bytes() - resident
        self.assertLess(grown, 3 * count * size, f"the daemon has grown by {grown >> 20} MiB")
        # Now it reads: nothing came beyond the credit.
        peer.say(common_pb2.KIND_PING, common_pb2.Ping(id=1))
        received = early
        while (message := peer.hear()).kind != common_pb2.KIND_PONG:
            if message.kind == common_pb2.KIND_OUTCOMES:
                received += wire.undeltas(message.body.handle_delta)
        self.assertEqual(len(received), window)
        while len(received) < count:
            peer.say(common_pb2.KIND_DELIVERED, client_pb2.Delivered(
                processed_delivery=len(received), result_credit_tasks=len(received) + 4096,
                result_credit_bytes=len(received) * size + (64 << 20)))
            outcomes = peer.hear(common_pb2.KIND_OUTCOMES)
            self.assertEqual(outcomes.body.first_delivery, len(received))
            handles = wire.undeltas(outcomes.body.handle_delta)
            for result in wire.unpack_payloads(outcomes.body.payloads, outcomes.frames, len(handles)):
                self.assertEqual(result, payload)
            received += handles
        self.assertEqual(sorted(received), list(range(count)))

    # Workers

    def test_a_call_whose_worker_was_killed_runs_again_elsewhere(self):
        first = self.worker("killed")
        client = self.client()
        gate = self.gate()
        [task] = client.submit("py.gate", [gate], pool=b"killed", keep_ns=10**11)
        client.wait_started([task])
        second = self.worker("killed")
        first.signal(signal.SIGKILL)
        first.wait()
        self.open_gate(gate)
        self.assertEqual(self.results(client, [task]), [b"%d" % second.pid])
        self.assertEqual([pid for pid, _ in second.started_calls()], [first.pid, second.pid])
        [record] = client.list(detail=True, ids=[task.id])
        self.assertEqual([(a.outcome, a.pid) for a in record.attempts],
                         [(b"crashed", first.pid), (b"succeeded", second.pid)])

    def test_a_worker_that_reconnects_keeps_what_it_runs(self):
        worker = self.worker("announce", threads=1, prefetch=2)
        client = self.client()
        gate = self.gate()
        tasks = client.submit("py.gate", [gate] * 5, pool=b"announce", keep_ns=10**11)
        client.wait_started(tasks[:1])
        stale = client.status().stale_reports
        for _ in range(2):
            worker.signal(signal.SIGHUP)
            self.assertEqual(worker.ready(), worker.number)
        self.open_gate(gate)
        self.assertEqual(self.results(client, tasks), [b"%d" % worker.pid] * 5)
        self.assertEqual(len(worker.started_calls()), 5)
        self.assertEqual([record.attempt_count for record in client.list(ids=[t.id for t in tasks])], [1] * 5)
        self.assertEqual(client.status().stale_reports, stale)

    def test_a_worker_that_leaves_gives_back_what_it_has_not_started(self):
        first = self.worker("leave", threads=1, prefetch=3)
        client = self.client()
        gate = self.gate()
        tasks = client.submit("py.gate", [gate] * 4, pool=b"leave")
        client.wait_started(tasks[:1])
        second = self.worker("leave", threads=4)
        first.signal(signal.SIGTERM)
        client.wait_started(tasks)  # also those that waited behind the one that runs
        self.open_gate(gate)
        self.assertEqual(sorted(self.results(client, tasks)), sorted([b"%d" % first.pid] + [b"%d" % second.pid] * 3))
        self.assertEqual(first.wait(), 0, first.log())

    def test_a_report_that_is_not_current_is_dropped_and_counted(self):
        client = self.client()
        stale = client.status().stale_reports
        worker = raw_worker(self.endpoint, "stale", 2, os.urandom(16))
        self.stack.callback(worker.close)
        first, second = client.submit("raw", [b"1", b"2"], pool=b"stale")
        tokens = []
        while len(tokens) < 2:
            tokens += wire.tokens_of(worker.hear(common_pb2.KIND_RUN).body.tokens)

        def ran(report, token, reply):
            worker.say(common_pb2.KIND_RAN, worker_pb2.Ran(first_report=report, tokens=token,
                                                           payloads=common_pb2.Payloads(size=[len(reply)], blob=reply)))
            while worker.hear(common_pb2.KIND_RAN_ACK).body.reports < report + 1:
                pass

        ran(0, tokens[0], b"right")
        ran(1, tokens[0], b"wrong")
        ran(2, b"\x00" * 16, b"never heard of")
        ran(0, tokens[0], b"sent again, and known")  # not stale: the same report once more
        self.assertEqual(client.status().stale_reports, stale + 2)
        # The second is asked back for a cancel, and reported after all.
        client.request += 1
        cancel = client_pb2.Cancel(request=client.request, handles=[second.handle])
        client.asked[client.request] = (common_pb2.KIND_CANCEL, cancel)
        client.connection.send(common_pb2.KIND_CANCEL, cancel)
        self.assertEqual(worker.hear(common_pb2.KIND_RECALL).body.tokens, tokens[1])
        worker.say(common_pb2.KIND_RECALLED, worker_pb2.Recalled(tokens=tokens[1], returned=[True], thread_credit=3))
        ran(3, tokens[1], b"too late")
        client.wait([first, second])
        self.assertEqual((first.result, second.state), (b"right", common_pb2.STATE_CANCELLED))
        self.assertEqual(client.status().stale_reports, stale + 3)

    def test_a_worker_of_which_only_the_hello_arrived_gets_work_after_its_announce(self):
        instance = os.urandom(16)
        raw_worker(self.endpoint, "late", 1, instance).close()
        again = raw_worker(self.endpoint, "late", 1, instance, generation=2)
        self.stack.callback(again.close)
        again.say(common_pb2.KIND_ANNOUNCE, worker_pb2.Announce(end=True))
        client = self.client()
        [task] = client.submit("raw", [b"x"], pool=b"late")
        run = again.hear(common_pb2.KIND_RUN).body
        again.say(common_pb2.KIND_RAN, worker_pb2.Ran(tokens=run.tokens, payloads=common_pb2.Payloads(size=[0])))
        self.results(client, [task])

    def test_a_daemon_that_drains_lets_a_call_end_and_sends_everybody_away(self):
        daemon = self.process(Daemon(self.folder, "--processes", "0"))
        client = self.client(daemon.endpoint)
        worker = self.worker("drain", daemon.endpoint)
        gate = self.gate()
        [running] = client.wait_started(client.submit("py.gate", [gate], pool=b"drain"))
        daemon.signal(signal.SIGTERM)
        until(lambda: client.status().draining, "the drain")
        [late] = client.wait(client.submit("py.upper", [b"x"], pool=b"drain"))
        self.assertEqual(late.error.kind, common_pb2.ERROR_KIND_REJECTED)
        self.open_gate(gate)
        self.assertEqual(self.results(client, [running]), [b"%d" % worker.pid])
        client.wait_goaway()
        self.assertEqual((worker.wait(), daemon.wait()), (0, 0))


if __name__ == "__main__":
    unittest.main(verbosity=2)
