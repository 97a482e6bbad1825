"""A small synchronous client of futured, written from proto/README.md and proto/futured/v1/*.proto alone.

    with Client("ipc:///run/user/1000/futured/futured.sock") as client:
        tasks = client.submit("echo", [b"one", b"two"])
        client.wait(tasks)
        print([task.result for task in tasks])

One thread. Nothing is received unless a method waits: a client that calls none of them is a client that never reads.
"""

import collections
import os
import socket
import time

import zmq

import futured_wire as wire
from futured.v1 import client_pb2, common_pb2

ATTACHED = 1 << 40  # handles of attached tasks have this bit
TERMINAL = (common_pb2.STATE_SUCCEEDED, common_pb2.STATE_FAILED, common_pb2.STATE_CANCELLED, common_pb2.STATE_EXPIRED)
BLOB_BYTES = 1 << 20  # of the payloads that stand in frame 0 of one SUBMIT
INSTANCE = os.urandom(16)


def new_stream():
    return int(time.time() * 10).to_bytes(5, "big") + os.urandom(6)


class Task:
    """A task under a handle of this client. state is None until something is known."""

    def __init__(self, handle, stream=None):
        self.handle = handle
        self.id = stream + handle.to_bytes(5, "big") if stream else None
        self.number = None
        self.state = None
        self.result = None
        self.error = None
        self.attempts = None
        self.output = {}  # stream -> bytearray, of the attempt in output_attempt
        self.output_attempt = None
        self.output_taken = 0  # bytes of that attempt that are behind us
        self.output_lost = 0

    @property
    def done(self):
        return self.state in TERMINAL

    def __repr__(self):
        state = common_pb2.State.Name(self.state) if self.state else "sent"
        return f"Task({self.handle}, number={self.number}, {state}, {self.error or ''})"


class Client:
    def __init__(self, endpoint, *, window_tasks=1024, window_bytes=64 << 20, connect_timeout=10.0, context=None):
        self.endpoint = endpoint
        self.context = context or zmq.Context.instance()
        self.stream = new_stream()
        self.connect_timeout = connect_timeout
        self.window_tasks, self.window_bytes = window_tasks, window_bytes
        self.connection, self.welcome = None, None
        self.generation = 0
        self.daemon_instance = b""

        self.tasks = {}  # handle -> Task, not yet done
        self.next_seq = 0
        self.next_attached = ATTACHED
        self.queue = collections.deque()  # (task, spec, payload): not sent on this connection
        self.unaccepted = collections.deque()  # sent, not accepted
        self.waiting_bytes = 0  # of the inputs in `queue`
        self.sent_bytes = 0  # absolute, as submit_credit_bytes
        self.submit_credit = (0, 0)

        self.processed = 0  # delivery number expected next
        self.result_bytes = 0  # absolute, as result_credit_bytes
        self.delivered_said = 0
        self.output_said = []  # tasks whose output was taken since the last DELIVERED
        self.auto_deliver = True

        self.request = 0
        self.answers = {}  # request -> the message that answers it
        self.asked = {}  # request -> (kind, body), unanswered: asked again after a reconnect
        self.warnings = []
        self.goaway = None
        self.reconnects = 0
        self.doubled = 0  # outcomes that came again
        self.pongs = set()
        self.connect()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.goodbye()

    # Connections

    def connect(self):
        """Says HELLO: for the first time, or again after the connection ended or goodbye()."""
        hello = common_pb2.Hello(
            role=common_pb2.Hello.CLIENT, version_min=wire.VERSION, version_max=wire.VERSION,
            software=b"futured_client.py", host=socket.gethostname().encode(), pid=os.getpid(), instance=INSTANCE,
            stream=self.stream, first_unacked_seq=self._first_unacked(), processed_delivery=self.processed,
            daemon_instance=self.daemon_instance, result_credit_tasks=self.processed + self.window_tasks,
            result_credit_bytes=self.result_bytes + self.window_bytes)
        deadline = time.monotonic() + self.connect_timeout
        try:
            self.connection, self.welcome = wire.open_connection(
                self.context, self.endpoint, self.generation + 1, hello, deadline)
        except wire.Refused as refused:
            if refused.code != common_pb2.CODE_FORGOTTEN:
                raise
            # We were away for too long: this stream was given up. A new one goes on with what was never accepted.
            hello.stream = self.stream = new_stream()
            self.connection, self.welcome = wire.open_connection(
                self.context, self.endpoint, self.generation + 2, hello, deadline)
        self.generation = self.connection.generation
        self.delivered_said = self.processed
        self._resume()

    def _first_unacked(self):
        if self.unaccepted:
            return self.unaccepted[0][0].handle
        return self.queue[0][0].handle if self.queue else self.next_seq

    def _resume(self):
        welcome = self.welcome
        again, self.unaccepted = self.unaccepted, collections.deque()
        for entry in reversed(again):
            self._unsend(entry)
        if not welcome.resumed:
            if self.daemon_instance:
                self._lose_acknowledged("the daemon knows nothing of it any more")
            # A new session: totals of bytes begin again at 0; seqs and delivery numbers go on as HELLO named them.
            self.sent_bytes = self.result_bytes = 0
        # Accepted without our hearing of it. ACCEPTED with the numbers follows WELCOME.
        while self.queue and self.queue[0][0].handle < welcome.accepted_seq:
            entry = self.queue.popleft()
            self._send_accounting(entry)
            self.unaccepted.append(entry)
        self.daemon_instance = welcome.daemon_instance
        self.submit_credit = (welcome.submit_credit_tasks, welcome.submit_credit_bytes)
        for kind, body in list(self.asked.values()):
            self.connection.send(kind, body)
        self._flush()

    def _lose_acknowledged(self, why):
        unsent = {entry[0].handle for entry in self.queue}
        for task in [task for task in self.tasks.values() if task.handle not in unsent]:
            task.state = common_pb2.STATE_FAILED
            task.error = common_pb2.Error(kind=common_pb2.ERROR_KIND_LOST, message=why.encode())
            del self.tasks[task.handle]

    def _unsend(self, entry):
        self.queue.appendleft(entry)
        self.waiting_bytes += len(entry[2])
        self.sent_bytes -= len(entry[2])

    def _send_accounting(self, entry):
        self.waiting_bytes -= len(entry[2])
        self.sent_bytes += len(entry[2])

    def reconnect(self):
        """A new socket with the next generation; goes on where the last one stopped."""
        self.connection.close()
        self.reconnects += 1
        self.connect()

    def goodbye(self):
        if self.connection is not None:
            self.connection.send(common_pb2.KIND_GOODBYE, common_pb2.Goodbye())
            self.connection.close(linger=1)
            self.connection = None

    # Submitting

    def submit(self, type_name, payloads, **spec):
        """Tasks of one type, one for each payload. `spec` are fields of Spec. Sends what credit and clock allow."""
        spec = common_pb2.Spec(type=type_name.encode(), **spec)
        tasks = []
        for payload in payloads:
            task = Task(self.next_seq, self.stream)
            self.next_seq += 1
            self.tasks[task.handle] = task
            self.queue.append((task, spec, payload))
            self.waiting_bytes += len(payload)
            tasks.append(task)
        self._flush()
        return tasks

    def _flush(self):
        while self.queue and (not self.unaccepted or len(self.queue) >= wire.BATCH_COUNT
                              or self.waiting_bytes >= wire.BATCH_BYTES):
            if not self._submit_batch():
                break

    def _submit_batch(self):
        credit_tasks, credit_bytes = self.submit_credit
        body, payloads, blob, last_spec = client_pb2.Submit(), [], 0, None
        while self.queue:
            task, spec, payload = entry = self.queue[0]
            blob += len(payload) if len(payload) < wire.FRAMED_FROM else 0
            if (task.handle >= credit_tasks or self.sent_bytes + len(payload) > credit_bytes
                    or blob > BLOB_BYTES or not wire.fits_batch(payloads, payload)):
                break
            if not payloads:
                body.first_seq = task.handle
            if spec is not last_spec:
                body.specs.append(spec)
                last_spec = spec
            body.spec_of.append(len(body.specs) - 1)
            payloads.append(payload)
            self.unaccepted.append(self.queue.popleft())
            self._send_accounting(entry)
        if not payloads:
            return False
        if len(body.specs) == 1:
            del body.spec_of[:]
        self.connection.send(common_pb2.KIND_SUBMIT, body, wire.pack_payloads(payloads, body.payloads))
        return True

    # Receiving

    def pump(self, timeout):
        """Handles what comes within `timeout` seconds, at least one message if there is one. -> whether one came"""
        message = self.connection.receive(timeout)
        if message is None:
            if self.connection.lost:
                self.reconnect()
            else:
                self._say_delivered()
                self._check_silence(timeout)
            return False
        while message is not None:
            self._handle(message)
            message = self.connection.receive(0)
        self._say_delivered()
        return True

    def _check_silence(self, waited):
        heartbeat = self.welcome.heartbeat_ns / 1e9
        silent = time.monotonic() - self.connection.heard
        if heartbeat and silent > 3 * heartbeat and waited:
            self.reconnect()
        elif heartbeat and silent > heartbeat and time.monotonic() - self.connection.said > heartbeat:
            self.connection.send(common_pb2.KIND_PING, common_pb2.Ping(id=0))

    def _until(self, condition, timeout, what):
        end = time.monotonic() + timeout
        while not condition():
            left = end - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"{what} took more than {timeout} s")
            self.pump(min(left, 0.25))

    def wait(self, tasks, timeout=40.0):
        self._until(lambda: all(task.done for task in tasks), timeout, "waiting for outcomes")
        return tasks

    def wait_accepted(self, tasks, timeout=40.0):
        self._until(lambda: all(task.number is not None for task in tasks), timeout, "acceptance")
        return tasks

    def wait_started(self, tasks, timeout=40.0):
        self._until(lambda: all(task.state == common_pb2.STATE_RUNNING for task in tasks), timeout, "the start")
        return tasks

    def wait_goaway(self, timeout=40.0):
        self._until(lambda: self.goaway is not None, timeout, "the daemon's farewell")
        return self.goaway

    def _handle(self, message):
        body = message.body
        if message.kind == common_pb2.KIND_ACCEPTED:
            self._accepted(body)
        elif message.kind == common_pb2.KIND_OUTCOMES:
            self._outcomes(body, message.frames)
        elif message.kind == common_pb2.KIND_STARTED:
            for handle in wire.undeltas(body.handle_delta):
                if handle in self.tasks:
                    self.tasks[handle].state = common_pb2.STATE_RUNNING
        elif message.kind == common_pb2.KIND_OUTPUT:
            self._output(body)
        elif message.kind in (common_pb2.KIND_CANCELLED, common_pb2.KIND_ATTACHED, common_pb2.KIND_REPLY):
            if self.asked.pop(body.request, None):
                self.answers[body.request] = body
        elif message.kind == common_pb2.KIND_PING:
            self.connection.send(common_pb2.KIND_PONG, body)
        elif message.kind == common_pb2.KIND_PONG:
            self.pongs.add(body.id)
        elif message.kind == common_pb2.KIND_REHELLO:
            self.reconnect()
        elif message.kind == common_pb2.KIND_GOAWAY:
            self.goaway = body

    def _accepted(self, body):
        while self.unaccepted and self.unaccepted[0][0].handle < body.first_seq + body.count:
            self.unaccepted.popleft()
        for index in range(body.count):
            task = self.tasks.get(body.first_seq + index)
            if task is not None:
                task.number = body.first_number + index
        self.warnings.extend((warning.seq, warning.message) for warning in body.warnings)
        self.submit_credit = (body.submit_credit_tasks, body.submit_credit_bytes)
        self._flush()

    def _outcomes(self, body, frames):
        for accepted in body.accepted:
            self._accepted(accepted)
        handles = wire.undeltas(body.handle_delta)
        results = wire.unpack_payloads(body.payloads, frames, len(handles))
        failures = {failure.index: failure for failure in body.failures}
        for index, (handle, result) in enumerate(zip(handles, results)):
            delivery = body.first_delivery + index
            if delivery < self.processed:
                self.doubled += 1
                continue
            if delivery > self.processed:
                raise wire.BadMessage(f"delivery {delivery} came, {self.processed} is the next")
            self.processed += 1
            self.result_bytes += len(result)
            task = self.tasks.pop(handle, None)
            if task is None:  # attached twice
                continue
            task.state = body.state[index] if body.state else common_pb2.STATE_SUCCEEDED
            if index in failures:
                task.error, task.attempts = failures[index].error, failures[index].attempts
            if task.state == common_pb2.STATE_SUCCEEDED:
                task.result = result

    def _output(self, body):
        task = self.tasks.get(body.handle)
        if task is None:
            return
        if body.attempt != task.output_attempt:
            task.output_attempt, task.output, task.output_taken, task.output_lost = body.attempt, {}, 0, 0
        if body.offset + len(body.data) <= task.output_taken:
            return
        data = body.data[max(0, task.output_taken - body.offset):]
        task.output.setdefault(body.stream, bytearray()).extend(data)
        task.output_lost += max(0, body.offset - task.output_taken)  # it came while we were away
        task.output_taken = body.offset + len(body.data)
        if task not in self.output_said:
            self.output_said.append(task)

    def _say_delivered(self, force=False):
        if not (force or self.auto_deliver and (self.processed > self.delivered_said or self.output_said)):
            return
        body = client_pb2.Delivered(processed_delivery=self.processed,
                                    result_credit_tasks=self.processed + self.window_tasks,
                                    result_credit_bytes=self.result_bytes + self.window_bytes)
        for task in self.output_said:
            body.output.add(handle=task.handle, bytes=task.output_taken, attempt=task.output_attempt)
        self.output_said = []
        self.delivered_said = self.processed
        self.connection.send(common_pb2.KIND_DELIVERED, body)

    def deliver(self):
        """Says what was taken, also with auto_deliver off."""
        self._say_delivered(force=True)

    # Questions and orders

    def _ask(self, kind, body, timeout=40.0):
        self.request += 1
        request = body.request = self.request
        self.asked[request] = (kind, body)
        self.connection.send(kind, body)
        self._until(lambda: request in self.answers, timeout, "an answer")
        return self.answers.pop(request)

    def cancel(self, tasks, running_too=False, grace=0.0, why=b""):
        """-> one verdict for each task, as client_pb2.Cancelled.Verdict"""
        answer = self._ask(common_pb2.KIND_CANCEL, client_pb2.Cancel(
            handles=[task.handle for task in tasks], running_too=running_too, grace_ns=int(grace * 1e9), why=why))
        return list(answer.verdicts)

    def attach(self, *, numbers=(), ids=(), live_output=False):
        """-> (code, Task) for each; the outcome of a Task whose code is OK comes to this client too."""
        refs = [common_pb2.TaskRef(number=n) for n in numbers] + [common_pb2.TaskRef(id=i) for i in ids]
        first, self.next_attached = self.next_attached, self.next_attached + len(refs)
        tasks = [Task(first + index) for index in range(len(refs))]
        self.tasks.update((task.handle, task) for task in tasks)  # an outcome may come before the answer
        answer = self._ask(common_pb2.KIND_ATTACH, client_pb2.Attach(
            first_handle=first, tasks=refs, live_output=live_output))
        for task, attachment in zip(tasks, answer.tasks):
            task.number, task.id = attachment.number, attachment.id
            if attachment.code != common_pb2.CODE_OK:
                self.tasks.pop(task.handle, None)
            elif not task.done and attachment.state not in TERMINAL:
                task.state = attachment.state
        return [(attachment.code, task) for task, attachment in zip(tasks, answer.tasks)]

    def ask(self, **what):
        """One Request, for instance ask(status=StatusQuery()) -> Reply"""
        return self._ask(common_pb2.KIND_REQUEST, client_pb2.Request(**what))

    def status(self):
        return self.ask(status=client_pb2.StatusQuery()).status

    def list(self, limit=0, detail=False, **selector):
        """All records that the fields of Selector select, page by page."""
        records, cursor = [], b""
        while True:
            reply = self.ask(list=client_pb2.ListQuery(
                selector=client_pb2.Selector(**selector), limit=limit, cursor=cursor, detail=detail))
            records.extend(reply.tasks)
            if not reply.more:
                return records
            cursor = reply.cursor

    def catalog(self, *types, schema=False):
        query = client_pb2.CatalogQuery(types=[name.encode() for name in types], schema=schema)
        return list(self.ask(catalog=query).types)

    def workers(self):
        return list(self.ask(workers=client_pb2.WorkersQuery()).workers)

    def pools(self):
        return list(self.ask(pools=client_pb2.PoolsQuery()).pools)

    def scale(self, processes, pool=b""):
        return self.ask(scale=client_pb2.Scale(pool=pool, processes=processes))

    def ping(self, timeout=40.0):
        self.request += 1
        number = self.request
        self.connection.send(common_pb2.KIND_PING, common_pb2.Ping(id=number))
        self._until(lambda: number in self.pongs, timeout, "a pong")
        self.pongs.discard(number)
