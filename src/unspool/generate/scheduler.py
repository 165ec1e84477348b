"""One thread that steps all texts of a model side by side, as one batch."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from threading import Condition, Thread
from time import monotonic
from typing import Any

from unspool.data.tokenizer import Tokenizer
from unspool.errors import BusyError, LimitError
from unspool.generate.constrained_draws import draw_live
from unspool.generate.engine import Engine
from unspool.generate.jobs import Job, Limits, Request
from unspool.generate.live import LiveRows, LiveText, scores_of
from unspool.generate.prompts import PART, PromptReader
from unspool.generate.rows import Rows
from unspool.generate.state import State, row_seed

INTERVAL = 0.1
"""So often, in seconds, the thread looks for requests whose time is over."""
LATER = "try again in a while"


class Scheduler:
    """Runs requests for one model in a thread of its own.

    Everything that is live is stepped as one batch. Between two steps at most `prompts.PART` tokens of waiting prompts
    are read, in turns, so that a long one holds up nobody. Whoever does not take its pieces pauses, alone. What a
    request gives depends on its own seed, and not on what else goes on.

    Args:
        engine: the model.
        tokenizer: its tokenizer.
        limits: what is taken on.
        rows: the live rows; None: `Rows`, and the engine's compiled loop when it is ready.

    >>> from unspool import SequenceModel, Tokens, cores, embedding, head, tokenizers
    >>> tokenizer = tokenizers.build("tokenizer", "char").fit("abc")
    >>> model = SequenceModel(embedding(Tokens(3), 8), cores.build("core", "recurrent", width=8), head(Tokens(3), 8))
    >>> scheduler = Scheduler(Engine(model), tokenizer)
    >>> job = scheduler.submit(Request([0, 1], length=4, seed=1))
    >>> len(job.text()), job.tokens_read
    (4, 2)
    >>> scheduler.stop()
    """

    def __init__(
        self, engine: Engine, tokenizer: Tokenizer, limits: Limits | None = None, rows: LiveRows | None = None
    ) -> None:
        self.engine, self.tokenizer, self.limits = engine, tokenizer, limits or Limits()
        self._rows: LiveRows = Rows(engine) if rows is None else rows
        self._work = Condition()
        self._orders: deque[Callable[[], None]] = deque()
        self._jobs: set[Job] = set()  # everything that has not ended
        self._waiting: deque[Job] = deque()  # for their prompt to be read
        self._readers: dict[Job, PromptReader] = {}  # in turns
        self._ready: deque[LiveText] = deque()  # for a place in the batch
        self._texts: dict[int, LiveText] = {}  # in the batch, by key
        self._paused: dict[Job, list[LiveText]] = {}
        self._news: set[Job] = set()
        self.listener: Callable[[list[Job]], None] | None = None
        """Is called in the scheduler's thread, once a step, with all jobs of which there is something to take."""
        self._until = float("inf")  # when it stops whatever still goes on
        self._closing = self._closed = False
        self._next_check = 0.0
        self.steps = self.tokens = 0  # in all
        self._hasten()
        self._thread = Thread(target=self._run, name="scheduler", daemon=True)
        self._thread.start()

    def submit(self, request: Request) -> Job:
        """Ask for texts.

        Args:
            request: what is wanted.

        Raises:
            LimitError: the request is larger than a limit.
            BusyError: too many are waiting already, or the scheduler stops.
        """
        limits = self.limits
        for what, size, most in (
            ("the prompt has %s tokens", len(request.ids), limits.prompt),
            ("%s tokens are asked for", request.length, limits.length),
            ("%s texts are asked for", request.count, limits.live),
        ):
            if size > most:
                raise LimitError(f"{what % f'{size:,}'}, and at most {most:,} are allowed", hint="ask for less")
        job = Job(request, limits.seconds, lambda job: self._order(lambda: self._look_at(job)))
        with self._work:
            if self._closing:
                raise BusyError("the server is stopping", hint=LATER)
            if len(self._jobs) >= limits.waiting + limits.live:
                raise BusyError(f"{len(self._jobs):,} requests are under way", hint=LATER)
            self._jobs.add(job)
            self._orders.append(lambda: self._waiting.append(job))
            self._work.notify()
        return job

    def call(self, function: Callable[[], Any]) -> "Future[Any]":
        """Run a short function between two steps: nobody else uses the model meanwhile."""
        future: Future[Any] = Future()

        def order() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(function())
                except BaseException as error:  # it belongs to whoever waits for the future
                    future.set_exception(error)

        with self._work:
            if self._closing:
                raise BusyError("the server is stopping", hint=LATER)
            self._orders.append(order)
            self._work.notify()
        return future

    def stop(self, seconds: float = 0.0) -> None:
        """Take on nothing more, let what is under way go on for some seconds, and end the thread."""
        with self._work:
            self._closing, self._until = True, monotonic() + seconds
            self._work.notify()
        self._thread.join()

    def counts(self) -> dict[str, int]:
        """How many requests are under way, and how many texts are live."""
        return {"requests": len(self._jobs), "live": len(self._texts)}

    def _order(self, order: Callable[[], None]) -> None:
        with self._work:
            self._orders.append(order)
            self._work.notify()

    # everything below runs in the thread

    def _run(self) -> None:
        while not self._closed:
            with self._work:
                busy = self._texts or self._readers or self._ready or self._waiting
                if not self._orders and not busy:
                    self._work.wait(INTERVAL if self._jobs or self._closing else None)
            while self._orders:
                self._orders.popleft()()
            self._check_time()
            try:
                self._read()
                self._admit()
                self._step()
            except Exception as error:  # the thread must live; the requests get the error
                self._fail_all(error)
            self._notify()

    def _notify(self) -> None:
        news, self._news = self._news, set()
        for job in news:
            if job.done:
                self._jobs.discard(job)
            elif job.is_full and not job.paused:
                self._pause(job)
        notified = [job for job in news if job.notify()]
        if notified and self.listener is not None:
            self.listener(notified)

    def _check_time(self) -> None:
        """Now and then: end what has run out of time, and everything when the scheduler stops."""
        now = monotonic()
        if now < self._next_check and not self._closing:
            return
        self._next_check = now + INTERVAL
        self._hasten()
        stopping = now >= self._until
        with self._work:
            late = [job for job in self._jobs if stopping or now > job.deadline]
        for job in late:
            self._drop(job, "cancelled" if stopping else "time")
        self._closed = self._closing and not self._jobs and not self._orders

    def _hasten(self) -> None:
        """Let the compiled loop step the texts, as soon as it is ready; those that are live move over."""
        compiled = self.engine.compiled
        runner = compiled.runner() if compiled is not None and isinstance(self._rows, Rows) else None
        if runner is None:
            return
        from unspool.generate.compiled.rows import CompiledRows

        old, self._rows, texts = self._rows, CompiledRows(self.engine, runner), self._texts
        self._texts = {self._rows.add(old.remove(key)): texts[key] for key in list(old.keys)}

    def _look_at(self, job: Job) -> None:
        """Somebody has taken pieces of a job, or has cancelled it."""
        if job.cancelled and not job.done:
            self._drop(job, "cancelled")
        elif job.paused and not job.is_full:
            job.paused = False
            self._ready.extend(self._paused.pop(job, ()))

    def _drop(self, job: Job, reason: str) -> None:
        """End a job wherever it is, with what there is of it."""
        self._news.add(job)
        if job.done:
            return
        if job in self._waiting or job in self._readers:
            if job in self._waiting:
                self._waiting.remove(job)
            self._readers.pop(job, None)
            job.fail(BusyError("the request was not begun in time", hint=LATER))
            return
        for key, text in [(key, text) for key, text in self._texts.items() if text.job is job]:
            text.state = self._leave(key, job.request.keep)
            text.end(reason, text.state)
        away = [text for text in self._ready if text.job is job]
        self._ready = deque(text for text in self._ready if text.job is not job)
        for text in [*away, *self._paused.pop(job, ())]:
            text.end(reason, text.state)

    def _leave(self, key: int, keep: bool) -> State | None:
        del self._texts[key]
        if keep:
            return self._rows.remove(key)
        self._rows.discard(key)
        return None

    def _fail_all(self, error: Exception) -> None:
        for job in [*self._readers, *(text.job for text in [*self._texts.values(), *self._ready])]:
            job.fail(error)
            self._news.add(job)
        self._readers.clear()
        self._ready.clear()
        self._texts.clear()
        for key in list(self._rows.keys):
            self._rows.discard(key)

    def _read(self) -> None:
        """Read prompts in turns: one part's worth of tokens while others are live."""
        taken = len(self._texts) + len(self._ready) + sum(job.request.count for job in self._readers)
        while self._waiting and taken + self._waiting[0].request.count <= self.limits.live:
            job = self._waiting.popleft()
            taken += job.request.count
            top = job.request.top if job.request.echo else -1
            self._readers[job] = PromptReader(self.engine, job.request.ids, job.request.state, top)
        budget = PART
        while self._readers and budget > 0:
            job = next(iter(self._readers))
            reader, before = self._readers.pop(job), self.engine.tokens_run
            try:
                budget -= 1 if reader.finished else reader.read()
            except Exception as error:
                job.fail(error)
                self._news.add(job)
                continue
            job.tokens_read += self.engine.tokens_run - before
            if job.request.every and reader.state is not None:
                job.snapshots.append(reader.state)
            if reader.finished:
                self._begin(job, reader)
            else:
                self._readers[job] = reader  # behind the others

    def _begin(self, job: Job, reader: PromptReader) -> None:
        """A prompt was read: its texts wait for a place."""
        state, request = reader.state, job.request
        if state is None:
            raise ValueError("a request needs a prompt or a state")
        job.prompt_scores = reader.scores
        seed = state.seed if request.seed is None else request.seed
        try:
            rows = [replace(state, seed=row_seed(seed, row)) for row in range(request.count)]
            texts = [LiveText(job, row, one, self.tokenizer) for row, one in enumerate(rows)]
        except Exception as error:
            job.fail(error)
            self._news.add(job)
            return
        if request.length:
            self._ready.extend(texts)
            return
        for text in texts:
            text.end("length", text.state if request.keep else None)
        self._news.add(job)

    def _admit(self) -> None:
        """Let texts into the batch while there is room and memory for them."""
        used = sum(text.size for text in self._texts.values())
        while self._ready and len(self._texts) < self.limits.live:
            text = self._ready[0]
            used += text.size
            if self._texts and used > self.limits.memory:
                return
            self._ready.popleft()
            if text.state is not None:
                self._texts[self._rows.add(text.state)] = text
            text.state = None

    def _step(self) -> None:
        """Draw one token for every live row, and let those that go on read it."""
        keys = list(self._rows.keys)
        if not keys:
            return
        texts, logits = [self._texts[key] for key in keys], self._rows.logits
        drawn = draw_live([text.draw for text in texts], logits)
        scores, ids, ended = scores_of(texts, logits, drawn), dict(zip(keys, drawn.tolist(), strict=True)), {}
        for place, (key, text) in enumerate(zip(keys, texts, strict=True)):
            if text.ended:  # with the state in front of what was drawn
                text.end("constraint", self._leave(key, text.job.request.keep))
                continue
            reason = text.take(ids[key][0], *scores.get(place, (None, ())))
            if reason and not text.job.request.keep:
                self._leave(key, keep=False)
                text.end(reason, None)
            elif reason:
                ended[key] = reason
        self._news.update(text.job for text in texts if text.job.request.buffer or text.job.done)
        stay = list(self._rows.keys)  # whoever has left may have changed the order
        self._rows.advance(drawn if stay == keys else drawn.new_tensor([ids[key] for key in stay]).view(-1, 1))
        self.steps, self.tokens = self.steps + 1, self.tokens + sum(not text.ended for text in texts)
        for key in stay:
            if self._texts[key].wants_snapshot:
                self._snapshot(key)
        for key, reason in ended.items():
            text = self._texts[key]
            text.end(reason, self._leave(key, keep=True))
            self._news.add(text.job)

    def _snapshot(self, key: int) -> None:
        text = self._texts[key]
        text.job.snapshots.append(self._rows.state(key))
        text.kept = text.draw.position

    def _pause(self, job: Job) -> None:
        """Take the texts of a job out of the batch until somebody takes its pieces."""
        job.paused, away = True, [text for text in self._ready if text.job is job]
        self._ready = deque(text for text in self._ready if text.job is not job)
        for key, text in [(key, text) for key, text in self._texts.items() if text.job is job]:
            text.state = self._leave(key, keep=True)
            away.append(text)
        self._paused[job] = away
