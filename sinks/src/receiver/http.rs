//! Reading HTTP/1.1 requests: a head, and a body as long as `Content-Length` says.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

const HEAD_BYTES_MAX: usize = 16 << 10;
const BODY_BYTES_MAX: usize = 4 << 20;

/// One request.
#[derive(Debug)]
pub(super) struct Request {
    /// Its head as text, without the empty line.
    pub(super) head: String,
    /// Its body.
    pub(super) body: Vec<u8>,
}

impl Request {
    /// The value of a header; names are compared without case.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.split("\r\n")
        .skip(1)
        .filter_map(|line| line.split_once(':'))
        .find_map(|(found, value)| found.eq_ignore_ascii_case(name).then(|| value.trim()))
}

/// The next request of a connection; `None` when it ended before one began. `unread` holds what was read beyond the last one.
///
/// # Errors
/// `InvalidData` for what is no such request; anything else is the connection's own.
pub(super) async fn read<S: AsyncRead + Unpin>(stream: &mut S, unread: &mut Vec<u8>) -> io::Result<Option<Request>> {
    let head_end = loop {
        if let Some(end) = unread.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if unread.len() > HEAD_BYTES_MAX {
            return Err(malformed("the head is too long"));
        }
        if stream.read_buf(unread).await? == 0 {
            return if unread.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
        }
    };
    let head = String::from_utf8(unread[..head_end].to_vec()).map_err(|_| malformed("the head is not UTF-8"))?;
    unread.drain(..head_end + 4);
    let length = body_length(&head)?;
    while unread.len() < length {
        if stream.read_buf(unread).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(Some(Request { body: unread.drain(..length).collect(), head }))
}

fn body_length(head: &str) -> io::Result<usize> {
    if header(head, "transfer-encoding").is_some() {
        return Err(malformed("transfer-encoding is not understood"));
    }
    if !head.split("\r\n").next().is_some_and(|line| line.ends_with("HTTP/1.1")) {
        return Err(malformed("this is not HTTP/1.1"));
    }
    let length =
        header(head, "content-length").unwrap_or("0").parse().map_err(|_| malformed("content-length is not a number"))?;
    if length > BODY_BYTES_MAX { Err(malformed("the body is too long")) } else { Ok(length) }
}

fn malformed(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn all(bytes: &[u8]) -> Vec<String> {
        let (mut stream, mut unread, mut out) = (bytes, Vec::new(), Vec::new());
        loop {
            match read(&mut stream, &mut unread).await {
                Ok(None) => return out,
                Ok(Some(request)) => out.push(String::from_utf8(request.body).unwrap()),
                Err(why) => {
                    out.push(format!("! {why}"));
                    return out;
                }
            }
        }
    }

    #[tokio::test]
    async fn requests_are_read_one_after_the_other_or_refused() {
        let post = |headers: &str, body: &str| format!("POST / HTTP/1.1\r\n{headers}\r\n{body}");
        let two = post("content-length: 2\r\n", "ab") + &post("Content-Length: 1\r\n", "c") + &post("", "");
        assert_eq!(all(two.as_bytes()).await, ["ab", "c", ""]);
        for (bytes, expected) in [
            (post("transfer-encoding: chunked\r\n", "0"), "! transfer-encoding is not understood"),
            (post("content-length: x\r\n", ""), "! content-length is not a number"),
            (post("content-length: 5000000\r\n", ""), "! the body is too long"),
            (post("content-length: 5\r\n", "ab"), "! unexpected end of file"),
            ("GET / HTTP/0.9\r\n\r\n".to_owned(), "! this is not HTTP/1.1"),
            ("x".repeat(17 << 10), "! the head is too long"),
        ] {
            assert_eq!(all(bytes.as_bytes()).await, [expected]);
        }
    }
}
