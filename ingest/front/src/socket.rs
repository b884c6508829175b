//! A client's socket with the time limits that hyper does not have: the time to send headers apart from the time
//! a connection may be idle, the time to read an answer, and a close that lets the client read the last answer.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use crate::Limits;
use crate::caps::Slot;

/// After the last answer, what a client still sends is read and thrown away for this long and up to this many
/// bytes: closing with unread bytes would reset the connection, and the client would never see why.
const LINGER_TIME: Duration = Duration::from_secs(1);
const LINGER_BYTES_MAX: usize = 64 << 20;

/// What a connection is doing, shared by the socket (which sees bytes) and the service (which sees requests).
#[derive(Debug, Clone)]
pub(crate) struct Phase(Arc<AtomicU8>);

/// Between two requests; [`Limits::idle_timeout`] is hyper's to keep.
const IDLE: u8 = 0;
/// Headers are on their way.
const HEAD: u8 = 1;
/// A request is being answered, or the connection has become a WebSocket.
const BUSY: u8 = 2;

impl Phase {
    /// A new connection owes its first request at once.
    pub(crate) fn new() -> Phase {
        Phase(Arc::new(AtomicU8::new(HEAD)))
    }

    pub(crate) fn busy(&self) {
        self.0.store(BUSY, Ordering::Relaxed);
    }

    /// Is a request being answered?
    pub(crate) fn is_busy(&self) -> bool {
        self.0.load(Ordering::Relaxed) == BUSY
    }

    pub(crate) fn idle(&self) {
        self.0.store(IDLE, Ordering::Relaxed);
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Socket<S> {
    inner: S,
    phase: Phase,
    header_timeout: Duration,
    /// Until when the headers that are on their way must be here.
    header_deadline: Option<Instant>,
    /// Runs while the rest of them is waited for: mostly they come at once, without a timer.
    header_timer: Option<Pin<Box<Sleep>>>,
    write_timeout: Duration,
    write_bytes_min: usize,
    /// Runs while there is something to write, with the bytes written since it was set.
    write_timer: Option<(Pin<Box<Sleep>>, usize)>,
    /// Runs while the socket is being closed, with the bytes thrown away.
    linger: Option<(Pin<Box<Sleep>>, usize)>,
    /// Kept as long as the socket, also when a WebSocket takes it over.
    _slot: Slot,
}

impl<S> Socket<S> {
    pub(crate) fn new(inner: S, phase: Phase, limits: &Limits, slot: Slot) -> Socket<S> {
        Socket {
            inner,
            phase,
            header_timeout: limits.header_timeout,
            header_deadline: None,
            header_timer: None,
            write_timeout: limits.write_timeout,
            write_bytes_min: limits.write_bytes_min,
            write_timer: None,
            linger: None,
            _slot: slot,
        }
    }

    /// Ready when the headers are overdue; with `is_waiting` it wakes when they will be.
    fn poll_header_timer(&mut self, cx: &mut Context<'_>, is_waiting: bool) -> Poll<io::Error> {
        if self.phase.0.load(Ordering::Relaxed) != HEAD {
            (self.header_deadline, self.header_timer) = (None, None);
            return Poll::Pending;
        }
        let timeout = self.header_timeout;
        let deadline = *self.header_deadline.get_or_insert_with(|| Instant::now() + timeout);
        let is_overdue = if is_waiting {
            let timer = self.header_timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
            timer.as_mut().poll(cx).is_ready()
        } else {
            Instant::now() >= deadline
        };
        if is_overdue { Poll::Ready(timed_out("the headers did not arrive in time")) } else { Poll::Pending }
    }

    /// Ready when the client reads too slowly.
    fn poll_write_timer(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let timeout = self.write_timeout;
        let (timer, written) = self.write_timer.get_or_insert_with(|| (Box::pin(sleep(timeout)), 0));
        while timer.as_mut().poll(cx).is_ready() {
            if *written < self.write_bytes_min {
                return Poll::Ready(timed_out("the client does not read its answer"));
            }
            *written = 0;
            timer.as_mut().reset(Instant::now() + timeout);
        }
        Poll::Pending
    }

    fn count_written(&mut self, written: &Poll<io::Result<usize>>) {
        if let (Some((_, total)), Poll::Ready(Ok(bytes))) = (&mut self.write_timer, written) {
            *total += bytes;
        }
    }
}

fn timed_out(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, what)
}

impl<S: AsyncRead + Unpin> AsyncRead for Socket<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let read = Pin::new(&mut this.inner).poll_read(cx, buf);
        if read.is_ready() && buf.filled().len() > before {
            // The first byte after an answer begins the next request, with a time of its own.
            let begins = this.phase.0.compare_exchange(IDLE, HEAD, Ordering::Relaxed, Ordering::Relaxed);
            if begins.is_ok() {
                (this.header_deadline, this.header_timer) = (None, None);
            }
        }
        // Also after bytes came: a client that drips them never leaves a read pending for long.
        match this.poll_header_timer(cx, read.is_pending()) {
            Poll::Ready(error) => Poll::Ready(Err(error)),
            Poll::Pending => read,
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Socket<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.inner).poll_write(cx, buf);
        this.count_written(&written);
        match written {
            Poll::Pending => this.poll_write_timer(cx).map(Err),
            ready => ready,
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.inner).poll_write_vectored(cx, bufs);
        this.count_written(&written);
        match written {
            Poll::Pending => this.poll_write_timer(cx).map(Err),
            ready => ready,
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.inner).poll_flush(cx);
        match flushed {
            Poll::Pending => this.poll_write_timer(cx).map(Err),
            ready => {
                // All is written: the next answer has its own time.
                this.write_timer = None;
                ready
            }
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.linger.is_none() {
            ready!(Pin::new(&mut this.inner).poll_shutdown(cx))?;
        }
        let (timer, dropped) = this.linger.get_or_insert_with(|| (Box::pin(sleep(LINGER_TIME)), 0));
        let mut scratch = [std::mem::MaybeUninit::uninit(); 8 << 10];
        while *dropped < LINGER_BYTES_MAX && timer.as_mut().poll(cx).is_pending() {
            let mut buf = ReadBuf::uninit(&mut scratch);
            match ready!(Pin::new(&mut this.inner).poll_read(cx, &mut buf)) {
                Ok(()) if !buf.filled().is_empty() => *dropped += buf.filled().len(),
                // The client closed its side, or is gone.
                _ => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}
