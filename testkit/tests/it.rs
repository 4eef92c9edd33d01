//! The kit itself: a server starts, keeps its data over a crash, and ends.

use thalweg_testkit::{MariaDb, Proxy, require};

#[test]
fn a_server_keeps_what_was_committed_over_a_crash() {
    if !require() {
        return;
    }
    let mut server = MariaDb::start();
    server.exec("CREATE DATABASE shop; CREATE TABLE shop.orders (id INT PRIMARY KEY); INSERT INTO shop.orders VALUES (7)");
    server.kill9();
    assert!(server.try_query("SELECT 1").is_err());
    server.restart();
    assert_eq!(server.query("SELECT id FROM shop.orders"), [["7"]]);
    assert_eq!(server.gtid(), "0-1-3");
}

#[test]
fn a_proxy_cuts_at_the_byte() {
    use std::io::{Read, Write};
    let upstream = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = Proxy::to(upstream.local_addr().unwrap().port());
    proxy.cut_after(5);
    let mut client = std::net::TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
    let (mut server, _) = upstream.accept().unwrap();
    server.write_all(b"hello, world").unwrap();
    let mut got = Vec::new();
    client.read_to_end(&mut got).ok();
    assert_eq!(got, b"hello");
}
