//! A client of the service: asks what a browser or `curl` would ask, and checks what it is told.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

type Failed = Box<dyn std::error::Error>;

/// A few requests, each printed with its answer.
pub async fn run(service: SocketAddr) -> Result<(), Failed> {
    let order = |id: u64, customer: &str, price: &str, qty: u32| {
        serde_json::json!({ "id": id, "customer": customer, "price": price, "qty": qty }).to_string()
    };
    expect(ask(service, "POST", "/orders", &order(1, "ada", "12.50", 3)).await?, 201, "")?;
    expect(ask(service, "POST", "/orders", &order(2, "bob", "600.00", 2)).await?, 201, "")?;
    expect(ask(service, "GET", "/orders/1", "").await?, 200, r#""total":"37.50","big":false"#)?;
    expect(
        ask(service, "POST", "/orders", &order(2, "bob", "1.00", 2)).await?,
        409,
        "E0330: Order: insert of a row that exists",
    )?;
    expect(ask(service, "POST", "/orders", &order(3, "bob", "1.005", 2)).await?, 409, "1.005 needs 3 digits behind the point")?;
    expect(ask(service, "GET", "/orders/9", "").await?, 404, "")?;

    let standing = ask(service, "GET", "/changes", "").await?;
    let epoch = last_epoch(&standing.1).ok_or("a snapshot has an epoch")?;
    expect(standing, 200, r#""node":"Turnover","key":[],"value":"1237.50""#)?;
    expect(ask(service, "PUT", "/orders/2", &order(2, "bob", "600.00", 1)).await?, 204, "")?;
    let changed = ask(service, "GET", &format!("/changes/{epoch}"), "").await?;
    expect(changed, 200, r#""node":"Customer.spent","key":["bob"],"value":"600.00""#)?;
    expect(ask(service, "DELETE", "/orders/1", "").await?, 204, "")?;
    expect(ask(service, "GET", "/orders.arrow", "").await?, 200, "total")
}

/// One request over a connection of its own: status and body.
async fn ask(service: SocketAddr, method: &str, path: &str, body: &str) -> Result<(u16, String), Failed> {
    let mut stream = TcpStream::connect(service).await?;
    let head = format!("{method} {path} HTTP/1.1\r\nhost: {service}\r\nconnection: close\r\ncontent-type: application/json\r\n");
    stream.write_all(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or("an answer has a status")?;
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let shown = if path.ends_with(".arrow") { format!("{} bytes", body.len()) } else { body.trim_end().replace('\n', "\n    ") };
    println!("{method} {path} -> {status} {shown}");
    Ok((status, body.to_owned()))
}

fn expect((status, body): (u16, String), wanted: u16, part: &str) -> Result<(), Failed> {
    if status != wanted || !body.contains(part) {
        return Err(format!("{wanted} with {part:?} is expected, not {status} with {body:?}").into());
    }
    Ok(())
}

/// The epoch of the last line.
fn last_epoch(lines: &str) -> Option<u64> {
    let line: serde_json::Value = serde_json::from_str(lines.lines().last()?).ok()?;
    line["epoch"].as_u64()
}
