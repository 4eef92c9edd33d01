//! What the daemon says about itself.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::Value as Json;

use super::harness::{Home, receiver, shop, shop_server, until, webhook};

/// Status line and body of a page.
pub fn get(address: &str, page: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).expect("the daemon listens");
    write!(stream, "GET {page} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer is text");
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}

#[test]
fn status_pages_answer() {
    let Some(server) = shop_server() else { return };
    let receiver = receiver();
    let config = shop(&server.url(), &webhook(&receiver));
    let home = Home::new(&format!("{config}\n[http]\nlisten = \"127.0.0.1:0\"\n"));
    let daemon = home.start_live();
    let said = daemon.said();
    let address = said.split_once("status at http://").expect("the address is said").1.split('/').next().unwrap();
    server.exec("INSERT INTO shop.orders VALUES (1, 150), (2, 50)");
    server.exec("INSERT INTO shop.orders VALUES (3, 250)");
    until("both webhooks acknowledged", || get(address, "/metrics").1.contains("thalweg_outbox{state=\"acked\"} 2"));

    assert_eq!(get(address, "/health").0, "HTTP/1.1 200 OK");
    let (line, body) = get(address, "/status");
    assert_eq!(line, "HTTP/1.1 200 OK");
    let status: Json = serde_json::from_str(&body).expect("/status is JSON");
    let gtid = server.gtid();
    assert_eq!(status["sources"][0]["name"], "shop", "{status:#}");
    assert_eq!(status["sources"][0]["state"], "live", "{status:#}");
    assert_eq!(status["sources"][0]["position"], gtid.as_str(), "{status:#}");
    assert_eq!((&status["outbox"]["fired"], &status["outbox"]["acked"]), (&2.into(), &2.into()), "{status:#}");
    let (_, metrics) = get(address, "/metrics");
    for metric in ["thalweg_epoch", "thalweg_transactions_total", "thalweg_commits_total"] {
        assert!(metrics.contains(metric), "{metric} in\n{metrics}");
    }
    daemon.stop().well();
}
