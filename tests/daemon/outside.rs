//! What is wrong outside is said once, with its cure, and nothing that is kept changes.

use thalweg_graph::ports::{Recovered, Store};
use thalweg_testkit::MariaDb;

use super::harness::{Home, SHOP, purge, receiver, shop, shop_server, until, webhook};

const LOG: &str = "{ type = \"log\", path = \"fired.log\" }";

/// Runs, and checks that it ended for want of something outside; its error line.
fn refused(home: &Home) -> String {
    let ended = home.run_until_idle("0.3");
    assert_eq!(ended.status.code(), Some(4), "{}", ended.said);
    let errors: Vec<&str> = ended.said.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "{}", ended.said);
    assert!(!ended.said.contains("sesame"), "a secret is shown:\n{}", ended.said);
    errors[0].to_owned()
}

/// Where the store stands, and the hash of all that it has logged.
fn stands(home: &Home) -> (Recovered, String) {
    let store = home.store();
    (store.recovered(), store.chain())
}

#[test]
fn a_wrong_password_an_unknown_table_and_a_missing_log_are_each_said_with_their_cure() {
    let Some(server) = shop_server() else { return };
    server.exec("CREATE USER reader@'%' IDENTIFIED BY 'right'");
    let url = format!("mysql://reader:${{PASSWORD}}@127.0.0.1:{}", server.port());
    let wrong = Home::new(&shop(&url, LOG)).env("PASSWORD", "open-sesame");
    assert_eq!(
        refused(&wrong),
        "error: source `shop` stopped: E0401: access denied for user 'reader'@'localhost' (using password: YES); check user and \
         password in the url, and that the user may connect from here"
    );
    let without = Home::new(&shop(&url, LOG)).env("PASSWORD", "right");
    let text = refused(&without);
    assert!(text.contains("run on the server: GRANT REPLICATION SLAVE, BINLOG MONITOR ON *.* TO 'reader'@'%'"), "{text}");
    let unknown = Home::new(&shop(&server.url(), LOG).replace("shop.orders", "shop.order"));
    assert_eq!(refused(&unknown), "error: source `shop` stopped: E0408: unknown table `shop.order`; did you mean `orders`?");

    let quiet = MariaDb::start_with(&["--skip-log-bin"]);
    quiet.exec(SHOP);
    assert_eq!(
        refused(&Home::new(&shop(&quiet.url(), LOG))),
        "error: source `shop` stopped: E0403: the server writes no binary log; start it with --log-bin (`log_bin` in its configuration)"
    );
}

#[test]
fn a_server_that_is_not_there_ends_a_run_that_waits_for_idleness() {
    // A port that was free a moment ago: nobody listens there.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let text = refused(&Home::new(&shop(&format!("mysql://root@127.0.0.1:{port}"), LOG)));
    assert!(text.starts_with("error: source `shop` stopped: E0400: "), "{text}");
    assert!(text.contains(&format!("127.0.0.1:{port}")), "{text}");
}

#[test]
fn a_purged_log_stops_the_restart_and_the_data_stays_as_it_is() {
    let Some(server) = shop_server() else { return };
    let receiver = receiver();
    let home = Home::new(&shop(&server.url(), &webhook(&receiver)));
    server.exec("INSERT INTO shop.orders VALUES (1, 50)");
    home.run_until_idle("0.3").well();
    let before = stands(&home);

    server.exec(
        "INSERT INTO shop.orders VALUES (2, 150); FLUSH BINARY LOGS; INSERT INTO shop.orders VALUES (3, 150); FLUSH BINARY LOGS",
    );
    purge(&server);
    let text = refused(&home);
    assert!(text.contains("E0410") && text.contains("the server no longer has"), "{text}");
    assert_eq!(stands(&home), before);
    assert_eq!(receiver.totals().requests, 0);
}

#[test]
fn sto_08_two_processes_on_one_data_directory() {
    let Some(server) = shop_server() else { return };
    let receiver = receiver();
    let home = Home::new(&shop(&server.url(), &webhook(&receiver)));
    let first = home.start_live();
    let text = refused(&home);
    assert!(text.contains("E06") && text.contains("is in use by process"), "{text}");
    // The first one is not disturbed.
    server.exec("INSERT INTO shop.orders VALUES (1, 150)");
    until("its webhook", || receiver.totals().accepted == 1);
    first.stop().well();
}
