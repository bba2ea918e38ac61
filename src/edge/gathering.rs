//! A caller's connection that gathers answers before it sends them.
//!
//! tokio runs a task that was woken last before all others, so the task of a connection would run, and send, after each single
//! answer: a system call an answer on this side, a wake-up and a read on the other. Here the first write after a flush lets all
//! tasks that are ready run once before it: what they answer goes out with it. Nothing waits for a timer, and where no other task
//! is ready the write follows at once.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// So many bytes at once are worth a system call of their own.
const ENOUGH: usize = 8 << 10;

/// See the module.
#[derive(Debug)]
pub struct Gathering<T> {
    inner: T,
    /// The others had their turn.
    waited: bool,
}

impl<T> Gathering<T> {
    /// A connection of which nothing was written yet.
    pub fn new(inner: T) -> Self {
        Gathering { inner, waited: false }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Gathering<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Gathering<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if !self.waited && bytes.len() < ENOUGH {
            self.waited = true;
            // A task that wakes itself goes behind all that are ready.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.waited = false;
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let first = parts.iter().find(|part| !part.is_empty());
        self.poll_write(cx, first.map_or(&[], |part| part))
    }

    /// Whoever writes then copies answers of up to a kilobyte one behind the other, in place of a system call for each.
    fn is_write_vectored(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn what_others_have_ready_is_written_before_it_is_sent() {
        let (ours, mut theirs) = tokio::io::duplex(64);
        let mut ours = Gathering::new(ours);
        let first = poll_fn(|cx| Poll::Ready(Pin::new(&mut ours).poll_write(cx, b"one"))).await;
        assert!(first.is_pending(), "the others come first");
        // What was gathered meanwhile goes out with it.
        ours.write_all(b"one two").await.expect("written");
        ours.write_all(b" three").await.expect("written without another turn");
        ours.flush().await.expect("flushed");
        let mut read = [0; 13];
        theirs.read_exact(&mut read).await.expect("read");
        assert_eq!(&read, b"one two three");
        let next = poll_fn(|cx| Poll::Ready(Pin::new(&mut ours).poll_write(cx, b"four"))).await;
        assert!(next.is_pending(), "and again after a flush");
    }

    #[tokio::test]
    async fn whoever_waits_is_woken_and_much_is_written_at_once() {
        let (ours, mut theirs) = tokio::io::duplex(2 * ENOUGH);
        let mut ours = Gathering::new(ours);
        let much = vec![7; ENOUGH];
        let written = poll_fn(|cx| Poll::Ready(Pin::new(&mut ours).poll_write(cx, &much))).await;
        assert!(matches!(written, Poll::Ready(Ok(n)) if n == ENOUGH));
        ours.flush().await.expect("flushed");
        ours.write_all(b"more").await.expect("woken and written");
        drop(ours);
        let mut read = Vec::new();
        theirs.read_to_end(&mut read).await.expect("read");
        assert_eq!(read.len(), ENOUGH + 4);
    }
}
