//! Plays the script on a server while `thalweg tail` follows it, and compares at the marks.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::ops::Deref;
use std::process::{Child, Stdio};

use serde_json::Value as Json;
use thalweg_testkit::{Proxy, Server};

use super::super::harness::{Home, until};
use super::{Column, FIELDS, SCRIPT, TABLES};

/// What happens next.
pub enum Step {
    /// Statements, in a session of their own.
    Sql(&'static str),
    /// A row with the columns' first or second values.
    Types(usize),
    /// Something breaks.
    Have(Accident),
    /// Everything is compared as of here.
    Mark,
}

/// What breaks.
#[derive(Clone, Copy)]
pub enum Accident {
    /// The server is killed and comes back.
    Crash,
    /// The log goes on in another file.
    Rotate,
    /// The connection is cut.
    Cut,
    /// The connection is cut when so many bytes more have come.
    CutWithin(u64),
    /// One of the next bytes is changed on its way.
    Damage,
    /// `tail` is killed, and another goes on behind the last whole line.
    KillTail,
}

/// How a value of `apply` and SQL's text of it are compared.
#[derive(Clone, Copy)]
pub enum Print {
    /// As they are.
    Text,
    /// As numbers, exactly: zeros at the end do not count.
    Number,
    /// As doubles; the last digits of a mean may differ, since SQL rounds twice.
    Double,
    /// A date or a duration: zeros at the end do not count.
    Time,
    /// SQL says 0 or 1.
    Bool,
}

/// What the script is played on.
pub trait Stage {
    /// Where SQL runs.
    fn sql(&self) -> &Server;
    /// The port that `tail` reads.
    fn port(&self) -> u16;
    /// After each step.
    fn settle(&mut self) {}
    fn crash(&mut self);
    fn rotate(&mut self);
}

impl<S: AsMut<Server> + Deref<Target = Server>> Stage for S {
    fn sql(&self) -> &Server {
        self
    }

    fn port(&self) -> u16 {
        Server::port(self)
    }

    fn crash(&mut self) {
        self.as_mut().kill9();
        self.as_mut().restart();
    }

    fn rotate(&mut self) {
        self.exec("FLUSH BINARY LOGS");
    }
}

/// Where each statement runs, so that SQL prints times as they are stored.
const SESSION: &str = "USE shop; SET time_zone = '+00:00', sql_mode = 'NO_ENGINE_SUBSTITUTION'; ";

/// One number over everything.
const TURNOVER: &str = "SELECT COALESCE(SUM(i.price * i.qty), 0) FROM orders o JOIN items i ON i.order_id = o.id";

/// A run of the script.
pub struct Play<'a, S> {
    stage: S,
    types: &'a [Column],
    proxy: Proxy,
    home: Home,
    tail: Option<Child>,
    /// What SQL said at each mark, and how many bytes of lines lead up to it.
    marks: Vec<(usize, String)>,
}

impl<'a, S: Stage> Play<'a, S> {
    pub fn new(mut stage: S, types: &'a [Column]) -> Play<'a, S> {
        let columns: Vec<String> = types.iter().enumerate().map(|(i, (ty, ..))| format!("k{i} {ty}")).collect();
        stage.sql().exec(&format!("{TABLES}; CREATE TABLE kinds (id INT PRIMARY KEY, {})", columns.join(", ")));
        stage.settle();
        let proxy = Proxy::to(stage.port());
        Play { stage, types, proxy, home: Home::new(&config(types)), tail: None, marks: Vec::new() }
    }

    /// Everything, and at last what `apply` makes of the lines up to each mark.
    pub fn run(mut self) {
        self.start_tail();
        for step in SCRIPT {
            match step {
                Step::Sql(sql) => self.sql(sql),
                Step::Types(which) => self.sql(&self.row(*which)),
                Step::Have(accident) => self.have(*accident),
                Step::Mark => self.mark(),
            }
        }
        self.end_tail();
        let lines = self.lines();
        for (at, (end, said)) in self.marks.iter().enumerate() {
            std::fs::write(self.home.path("prefix.jsonl"), &lines[..*end]).unwrap();
            let applied = self.applied();
            applied.lines().zip(said.lines()).for_each(|(mine, sql)| assert_eq!(mine, sql, "at mark {at}"));
            assert_eq!(applied, *said, "at mark {at}");
        }
    }

    fn sql(&mut self, sql: &str) {
        self.stage.sql().exec(&format!("{SESSION}{sql}"));
        self.stage.settle();
    }

    /// A row with one value of each type.
    fn row(&self, which: usize) -> String {
        let values: Vec<&str> = self.types.iter().map(|(_, values, ..)| values[which]).collect();
        format!("INSERT INTO kinds VALUES ({which}, {})", values.join(", "))
    }

    fn have(&mut self, accident: Accident) {
        match accident {
            Accident::Crash => self.stage.crash(),
            Accident::Rotate => self.stage.rotate(),
            Accident::Cut => self.proxy.cut(),
            Accident::CutWithin(bytes) => self.proxy.cut_after(bytes),
            Accident::Damage => self.proxy.damage_after(200),
            Accident::KillTail => {
                self.end_tail();
                self.start_tail();
            }
        }
    }

    /// Waits for a row that says so, and asks SQL for everything.
    fn mark(&mut self) {
        let n = self.marks.len();
        self.sql(&format!("REPLACE INTO marks VALUES (1, {n})"));
        let mut end = None;
        until("the mark", || {
            let lines = self.lines();
            let place = lines.find(&format!("\"after\":{{\"id\":1,\"n\":{n}}}"));
            end = place.and_then(|at| Some(at + lines[at..].find('\n')? + 1));
            end.is_some()
        });
        let said = self.asked();
        self.marks.push((end.unwrap(), said));
    }

    fn lines(&self) -> String {
        std::fs::read_to_string(self.home.path("lines.jsonl")).unwrap_or_default()
    }

    /// Follows from behind the last whole line.
    fn start_tail(&mut self) {
        let path = self.home.path("lines.jsonl");
        let lines = self.lines();
        let whole = lines.rfind('\n').map_or(0, |at| at + 1);
        std::fs::write(&path, &lines[..whole]).unwrap();
        let last = lines[..whole].lines().rev().find_map(|line| {
            let line: Json = serde_json::from_str(line).unwrap();
            line["tx"].as_str().map(position)
        });
        let url = format!("mysql://root@127.0.0.1:{}/shop", self.proxy.port());
        let from = last.unwrap_or("start".into());
        let tables = "customers,orders,items,kinds,marks";
        let mut command = self.home.command(&["tail", &url, "--from", &from, "--tables", tables]);
        let file = |name: &str| OpenOptions::new().append(true).create(true).open(self.home.path(name)).unwrap();
        let command = command.stdout(Stdio::from(file("lines.jsonl"))).stderr(Stdio::from(file("said")));
        self.tail = Some(command.spawn().unwrap());
    }

    fn end_tail(&mut self) {
        if let Some(mut tail) = self.tail.take() {
            assert_eq!(tail.try_wait().unwrap(), None, "{}", std::fs::read_to_string(self.home.path("said")).unwrap());
            tail.kill().unwrap();
            tail.wait().unwrap();
        }
    }

    /// What SQL says of every field.
    fn asked(&self) -> String {
        let mut said = String::new();
        for (document, table) in DOCUMENTS {
            let fields = fields(document, self.types);
            let asked: Vec<&str> = fields.iter().map(|field| field.sql.as_str()).collect();
            let rows = format!("{SESSION}SELECT t.id, {} FROM {table} t ORDER BY t.id", asked.join(", "));
            for row in self.stage.sql().query(&rows) {
                for (field, value) in fields.iter().zip(&row[1..]) {
                    said += &format!("{document}.{} {} = {}\n", field.name, row[0], field.print.of(value));
                }
            }
        }
        let turnover = &self.stage.sql().query(&format!("{SESSION}{TURNOVER}"))[0][0];
        said + &format!("turnover = {}\n", Print::Number.of(turnover))
    }

    /// What `apply` makes of the lines, in the same words.
    fn applied(&self) -> String {
        let args = ["apply", "thalweg.toml", "--input", "prefix.jsonl", "--final"];
        let output = self.home.command(&args).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let mut values = BTreeMap::new();
        for line in String::from_utf8(output.stdout).unwrap().lines() {
            let line: Json = serde_json::from_str(line).unwrap();
            assert_ne!(line["kind"], "error", "{line}");
            if line["kind"] == "final" {
                values.insert((line["node"].as_str().unwrap().to_owned(), line["key"]["id"].as_i64()), text(&line["value"]));
            }
        }
        let mut said = String::new();
        for (document, _) in DOCUMENTS {
            let fields = fields(document, self.types);
            let first = format!("{document}.{}", fields[0].name);
            let ids: Vec<i64> = values.keys().filter(|(node, _)| *node == first).filter_map(|(_, id)| *id).collect();
            for id in ids {
                for field in &fields {
                    let value = &values[&(format!("{document}.{}", field.name), Some(id))];
                    said += &format!("{document}.{} {id} = {}\n", field.name, field.print.of(value));
                }
            }
        }
        said + &format!("turnover = {}\n", Print::Number.of(&values[&("turnover".into(), None)]))
    }
}

impl<S> Drop for Play<'_, S> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("`tail` said:\n{}", std::fs::read_to_string(self.home.path("said")).unwrap_or_default());
        }
        if let Some(tail) = &mut self.tail {
            tail.kill().ok();
            tail.wait().ok();
        }
    }
}

/// The documents with fields, and their tables.
const DOCUMENTS: [(&str, &str); 3] = [("Customer", "customers"), ("Order", "orders"), ("Kind", "kinds")];

/// A field of a document.
struct Field {
    name: String,
    formula: String,
    sql: String,
    print: Print,
}

fn fields(document: &str, types: &[Column]) -> Vec<Field> {
    if document == "Kind" {
        let of = |(i, (_, _, formula, sql, print)): (usize, &Column)| {
            let column = format!("k{i}");
            let (formula, sql) = (formula.replace('@', &column), sql.replace('@', &column));
            Field { name: format!("of_{i}"), formula, sql, print: *print }
        };
        return types.iter().enumerate().map(of).collect();
    }
    let own = FIELDS.iter().filter_map(|(path, formula, sql, print)| {
        let name = path.strip_prefix(document)?.strip_prefix('.')?.to_owned();
        Some(Field { name, formula: (*formula).into(), sql: (*sql).into(), print: *print })
    });
    own.collect()
}

fn config(types: &[Column]) -> String {
    let mut config = String::from(
        r#"
[[table]]
name = "Customer"
from = "shop.customers"
[table.relations]
orders = { table = "Order", key = "customer_id" }

[[table]]
name = "Order"
from = "shop.orders"
[table.relations]
items = { table = "Item", key = "order_id" }
customer = { to = "Customer", key = "customer_id" }

[[table]]
name = "Item"
from = "shop.items"

[[table]]
name = "Kind"
from = "shop.kinds"

[fields]
turnover = "sum(Order[*].total)"
"#,
    );
    for (document, _) in DOCUMENTS {
        for field in fields(document, types) {
            config += &format!("\"{document}.{}\" = \"{}\"\n", field.name, field.formula);
        }
    }
    config
}

/// A position behind the transaction: with MySQL's ids all up to it.
fn position(tx: &str) -> String {
    match tx.split_once(':') {
        Some((server, number)) => format!("{server}:1-{number}"),
        None => tx.to_owned(),
    }
}

fn text(value: &Json) -> String {
    match value {
        Json::Null => "NULL".into(),
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

impl Print {
    /// The value in words that both sides have.
    fn of(self, value: &str) -> String {
        let without_zeros = |text: &str| match text.contains('.') {
            true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
            false => text.to_owned(),
        };
        match self {
            _ if value == "NULL" => "NULL".into(),
            Print::Text => value.to_owned(),
            Print::Number => without_zeros(value),
            Print::Double => format!("{:.12e}", value.parse::<f64>().unwrap()),
            Print::Time => without_zeros(value.trim_end_matches(['Z', 's'])),
            Print::Bool => (if value == "true" || value == "1" { "yes" } else { "no" }).to_owned(),
        }
    }
}
