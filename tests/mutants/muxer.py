"""Answers to E4.4: the library's own yamux, and the reference with one thing changed."""

from __future__ import annotations

from libp2p_lab.errors import ProtocolViolation, RemoteError
from libp2p_lab.multiplexing import Yamux
from libp2p_lab.multiplexing.muxer import StreamOpened
from libp2p_lab.multiplexing.yamux_frames import Ping, WindowUpdate
from tests.coursework.support import cell
from tests.mutants import Mutant
from tests.support import REPOSITORY

SOLUTION = REPOSITORY / "curriculum" / "04-multiplexing" / "solutions" / "muxer.py"
REFERENCE = cell(SOLUTION.read_text("utf-8"))
MySession = REFERENCE["MySession"]
SYN, FIN = 1, 4


class WrongParity(MySession):
    def __init__(self, *args):
        super().__init__(*args)
        self.next_id = 3 - self.next_id


class NoSyn(MySession):
    def open_stream(self):
        number = super().open_stream()
        self.streams[number].flags = 0
        return number


class WaitsForAck(MySession):
    def has_turn(self, number):
        stream = self.streams.get(number)
        is_new = stream is not None and not stream.acked and not self.is_theirs(number)
        return bool(stream.flags) if is_new else super().has_turn(number)

    def next_frames(self, number):
        stream = self.streams[number]
        if stream.flags & SYN:
            return self.sent(WindowUpdate(number, self.flags_of(stream), 0))
        return super().next_frames(number)

    def find(self, number, flags, events):
        self.turns.append(number)
        return super().find(number, flags, events)


class TellsTwice(MySession):
    def on_syn(self, number, events):
        stream = super().on_syn(number, events)
        events.append(StreamOpened(number))
        return stream


class NoAck(MySession):
    def on_syn(self, number, events):
        stream = super().on_syn(number, events)
        if stream is not None:
            stream.flags = 0
        return stream


class FromTheEnd(MySession):
    def next_frames(self, number):
        queue = self.streams[number].queue
        if len(queue) > 16384:
            queue[:] = queue[-16384:] + queue[:-16384]
        return super().next_frames(number)


class OneByOne(MySession):
    """A stream that has its turn keeps it until it has nothing more to say."""

    def next_frames(self, number):
        out = super().next_frames(number)
        while self.has_turn(number):
            out += super().next_frames(number)
        return out


class ForgetsWhatIsQueued(MySession):
    def close_write(self, stream_id):
        super().close_write(stream_id)
        if stream_id in self.streams:
            self.streams[stream_id].queue.clear()


class FinFirst(MySession):
    def close_write(self, stream_id):
        stream = self.streams.get(stream_id)
        if stream is not None and not stream.closing:
            stream.closing = stream.closed = True
            self.control.append(WindowUpdate(stream_id, self.flags_of(stream) | FIN, 0))


class ClosesBoth(MySession):
    def close_write(self, stream_id):
        super().close_write(stream_id)
        self.stop_reading(stream_id)


class SilentReset(MySession):
    def reset(self, stream_id):
        self.streams.pop(stream_id, None)


class SendsOn(MySession):
    def send(self, stream_id, data):
        stream = self.streams.get(stream_id)
        if stream is None or not stream.closing:
            super().send(stream_id, data)


class NothingIsLate(MySession):
    def find(self, number, flags, events):
        stream = super().find(number, flags, events)
        if stream is None and not flags & SYN:
            raise ProtocolViolation(f"no stream {number}")
        return stream


class SleepsOn(MySession):
    """A window update is noted, and the stream gets no turn."""

    def on_frame(self, frame, now, events):
        before = self.turns.copy()
        super().on_frame(frame, now, events)
        if isinstance(frame, WindowUpdate) and frame.delta:
            self.turns = before


class NoCredit(MySession):
    def next_frames(self, number):
        self.streams[number].credit = 1 << 30
        return super().next_frames(number)


class UpdatesOnArrival(MySession):
    def on_data(self, number, stream, data, events):
        super().on_data(number, stream, data, events)
        super().consumed(number, len(data))

    def consumed(self, stream_id, n, now=0.0):
        pass


class NoUpdates(MySession):
    def consumed(self, stream_id, n, now=0.0):
        pass


class UpdatesEachTime(MySession):
    def consumed(self, stream_id, n, now=0.0):
        stream = self.streams.get(stream_id)
        if stream is not None:
            self.control.append(WindowUpdate(stream_id, self.flags_of(stream), n))
            stream.allowance += n


class NoPong(MySession):
    def on_frame(self, frame, now, events):
        if not isinstance(frame, Ping):
            super().on_frame(frame, now, events)


class IgnoresGoodbye(MySession):
    def open_stream(self):
        self.gone = False
        return super().open_stream()


class NoBacklog(MySession):
    def can_open_stream(self):
        return True


class AcceptsAll(MySession):
    def on_syn(self, number, events):
        stream = super().on_syn(number, events)
        if stream is not None:
            stream.accepted = True
        return stream


class Shrugs(MySession):
    def next_frame(self):
        try:
            return super().next_frame()
        except RemoteError:
            self.buffer.clear()
            return None


class Welcoming(MySession):
    def find(self, number, flags, events):
        if not flags & SYN and number not in self.streams:
            return None
        return super().find(number, flags, events)


class Trusting(MySession):
    def next_frame(self):
        for stream in self.streams.values():
            stream.allowance = 1 << 30
        return super().next_frame()


class Chatters(MySession):
    def data_to_send(self, limit=131072):
        self.control.append(Ping(2, 7))
        return super().data_to_send(limit)


class DropsReadStreams(MySession):
    """Whoever will not read is through with the stream: RST."""

    def stop_reading(self, stream_id):
        self.reset(stream_id)


class Raises(MySession):
    def receive_data(self, data, now=0.0):
        events = super().receive_data(data, now)
        if self.failed:
            raise ValueError("no yamux")
        return events


class MuxerOf:
    """A muxer with these sessions."""

    protocol = "/yamux/1.0.0"

    def __init__(self, session):
        self.made = session

    def session(self, *, is_dialer, limits, probe):
        return self.made(is_dialer, limits, probe)


class Half:
    protocol = "/yamux/1.0.0"

    def session(self, *, is_dialer, limits, probe):
        return self


def mutant(session, rule, seen=""):
    return Mutant(MuxerOf(session), rule, seen)


ANOTHER = Yamux
MUTANTS = (
    mutant(WrongParity, "numbers", "[1, 3, 5]"),
    mutant(NoSyn, "syn", "never opened"),
    mutant(WaitsForAck, "waits"),
    mutant(TellsTwice, "opened", "2 times"),
    mutant(NoAck, "ack"),
    mutant(FromTheEnd, "data"),
    mutant(OneByOne, "turns"),
    mutant(ForgetsWhatIsQueued, "fin", "0 of 50000"),
    mutant(FinFirst, "broke-rule", "after its end"),
    mutant(ClosesBoth, "half-close"),
    mutant(SilentReset, "rst"),
    mutant(SendsOn, "send-after-end"),
    mutant(NothingIsLate, "late"),
    mutant(SleepsOn, "starves"),
    mutant(NoCredit, "overruns", "allowed by the window"),
    mutant(UpdatesOnArrival, "gives-away"),
    mutant(NoUpdates, "no-update"),
    mutant(UpdatesEachTime, "batched"),
    mutant(NoPong, "ping"),
    mutant(IgnoresGoodbye, "go-away"),
    mutant(NoBacklog, "backlog"),
    mutant(AcceptsAll, "backlog", "300 streams"),
    mutant(Shrugs, "garbage", "no yamux"),
    mutant(Welcoming, "unknown"),
    mutant(Trusting, "overrun"),
    mutant(Chatters, "never-quiet"),
    mutant(DropsReadStreams, "stranger"),
    mutant(Raises, "raised", "no yamux"),
    Mutant(Half, "wrong-type", "can_open_stream"),
)
