//! Answering, well or badly.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::{Behaviour, Verdict};

/// What becomes of the connection.
pub(super) enum After {
    KeepOpen,
    Close,
}

/// Answers one request as the behaviour says.
pub(super) async fn give<S: AsyncWrite + Unpin>(stream: &mut S, verdict: Verdict, behaviour: &Behaviour) -> io::Result<After> {
    match verdict {
        Verdict::Unverified => plain(stream, 401, &[], "the signature is missing, stale or wrong").await?,
        Verdict::FailThisTime => plain(stream, 503, &[], "not this time").await?,
        Verdict::Behave => return behave(stream, behaviour).await,
    }
    Ok(After::KeepOpen)
}

async fn behave<S: AsyncWrite + Unpin>(stream: &mut S, behaviour: &Behaviour) -> io::Result<After> {
    match behaviour {
        Behaviour::Accept | Behaviour::FailFirst(_) => plain(stream, 200, &[], "").await?,
        Behaviour::Answer { status, headers, body } => plain(stream, *status, headers, body).await?,
        Behaviour::Slow(wait) => {
            tokio::time::sleep(*wait).await;
            plain(stream, 200, &[], "").await?;
        }
        Behaviour::Hang => std::future::pending::<()>().await,
        Behaviour::AcceptAndCut => return Ok(After::Close),
        Behaviour::CutHead => return cut_after(stream, b"HTTP/1.1 200 OK\r\ncontent-le").await,
        Behaviour::AcceptAndCutBody => return cut_after(stream, b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nhalf").await,
        Behaviour::AcceptEndless => repeat(stream, b"HTTP/1.1 200 OK\r\n\r\n", &[b'x'; 4096]).await?,
        Behaviour::EndlessContinue => repeat(stream, b"", b"HTTP/1.1 100 Continue\r\n\r\n").await?,
        Behaviour::Drip => drip(stream, b"HTTP/1.1 200 OK\r\nx: ").await?,
        Behaviour::Garbage => return cut_after(stream, b"SSH-2.0-OpenSSH_9.2\r\n").await,
    }
    Ok(After::KeepOpen)
}

/// A whole answer.
pub(super) async fn plain<S: AsyncWrite + Unpin>(
    stream: &mut S,
    status: u16,
    headers: &[(String, String)],
    body: &str,
) -> io::Result<()> {
    let mut answer = format!("HTTP/1.1 {status} -\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        answer.push_str(&format!("{name}: {value}\r\n"));
    }
    answer.push_str("\r\n");
    answer.push_str(body);
    stream.write_all(answer.as_bytes()).await
}

async fn cut_after<S: AsyncWrite + Unpin>(stream: &mut S, bytes: &[u8]) -> io::Result<After> {
    stream.write_all(bytes).await?;
    Ok(After::Close)
}

/// Writes `again` until the peer closes.
async fn repeat<S: AsyncWrite + Unpin>(stream: &mut S, first: &[u8], again: &[u8]) -> io::Result<()> {
    stream.write_all(first).await?;
    loop {
        stream.write_all(again).await?;
        tokio::task::yield_now().await;
    }
}

/// Writes byte after byte, the last one again and again, until the peer closes.
async fn drip<S: AsyncWrite + Unpin>(stream: &mut S, bytes: &[u8]) -> io::Result<()> {
    for at in 0.. {
        stream.write_all(&bytes[at.min(bytes.len() - 1)..][..1]).await?;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}
