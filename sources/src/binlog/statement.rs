//! What a statement in the log does to tables, as far as row changes do not tell.
//!
//! Not a parser of SQL: a scanner that skips comments and strings, and a look at the first words. The server has parsed the statement
//! before it wrote it.

mod alter;

use super::gtid_event::Xid;

/// What a statement means for somebody who follows rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    /// The transaction's changes hold.
    Commit,
    /// They do not.
    Rollback,
    /// Those since a savepoint do not.
    RollbackToSavepoint,
    /// A transaction begins.
    Begin,
    /// `XA START`.
    XaStart,
    /// `XA COMMIT`, and of which transaction.
    XaCommit(Option<Xid>),
    /// `XA ROLLBACK`, and of which transaction.
    XaRollback(Option<Xid>),
    /// Changes rows, and the log has the statement instead of the rows.
    Dml,
    /// The layout of these tables may be another now, or they are new; the rows stay as they are.
    Altered(Vec<Name>),
    /// The layout of a table is another now, and so may be what its rows hold, without row events.
    Rewritten(Name, Rewrite),
    /// All rows of these tables went without row events: TRUNCATE, DROP, CREATE OR REPLACE.
    Emptied(Vec<Name>),
    /// Rows of these tables went, came or moved without row events: RENAME, partitions.
    Replaced(Vec<Name>),
    /// All tables of a database went.
    DroppedDatabase(String),
    /// Nothing that concerns rows.
    Other,
}

/// What an `ALTER TABLE` makes of the values of rows that stay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rewrite {
    /// Rows hold values that no row event tells: a default, a computed column, a conversion, another name.
    pub values: bool,
    /// Rows are told apart by other columns.
    pub key: bool,
    /// Columns that were converted or renamed, by their old and new names.
    pub changed: Vec<String>,
    /// Columns that went.
    pub dropped: Vec<String>,
    /// Columns that came, and are NULL everywhere.
    pub added: Vec<String>,
}

/// A table as a statement names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// Its database; the default one where the statement names none.
    pub database: String,
    /// Its name.
    pub table: String,
}

/// Reads a statement; `database` is the default one.
pub fn classify(sql: &str, database: &str) -> Statement {
    let mut s = Scanner { tokens: tokens(sql), at: 0, database };
    if s.next_is("SET") && s.tokens.get(1).is_some_and(|t| matches!(t, Token::Word(w) if w.eq_ignore_ascii_case("STATEMENT"))) {
        s.skip_to("FOR"); // SET STATEMENT variable = value FOR statement
    }
    match s.word().as_str() {
        "COMMIT" => Statement::Commit,
        "ROLLBACK" if s.any_word(&["TO"]) => Statement::RollbackToSavepoint,
        "ROLLBACK" => Statement::Rollback,
        "XA" => match s.word().as_str() {
            "START" | "BEGIN" => Statement::XaStart,
            "COMMIT" => Statement::XaCommit(s.xid()),
            "ROLLBACK" => Statement::XaRollback(s.xid()),
            _ => Statement::Other,
        },
        "BEGIN" => Statement::Begin,
        "START" if s.next_is("TRANSACTION") => Statement::Begin,
        "INSERT" | "REPLACE" | "UPDATE" | "DELETE" | "LOAD" | "WITH" => Statement::Dml,
        "SELECT" | "CALL" | "DO" => Statement::Dml, // Logged only where a function or procedure changes rows.
        "TRUNCATE" => s.truncate(),
        "DROP" => s.drop(),
        "RENAME" => s.rename(),
        "ALTER" => s.alter(),
        "CREATE" => s.create(),
        _ => Statement::Other,
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    /// A bare word.
    Word(String),
    /// A name in backticks or double quotes.
    Quoted(String),
    /// A string.
    Text(String),
    /// Anything else, one character.
    Sign(char),
}

struct Scanner<'a> {
    tokens: Vec<Token>,
    at: usize,
    database: &'a str,
}

impl Scanner<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    /// The next token as a word in capitals; empty if it is none.
    fn word(&mut self) -> String {
        match self.peek() {
            Some(Token::Word(w)) => {
                let word = w.to_ascii_uppercase();
                self.at += 1;
                word
            }
            _ => String::new(),
        }
    }

    fn next_is(&self, word: &str) -> bool {
        matches!(self.peek(), Some(Token::Word(w)) if w.eq_ignore_ascii_case(word))
    }

    fn skip(&mut self, words: &[&str]) -> bool {
        let mut any = false;
        while words.iter().any(|w| self.next_is(w)) {
            self.at += 1;
            any = true;
        }
        any
    }

    /// Goes behind the next `word`.
    fn skip_to(&mut self, word: &str) {
        while self.at < self.tokens.len() && !self.next_is(word) {
            self.at += 1;
        }
        self.skip(&[word]);
    }

    fn any_word(&self, words: &[&str]) -> bool {
        self.tokens[self.at..].iter().any(|t| matches!(t, Token::Word(w) if words.iter().any(|x| w.eq_ignore_ascii_case(x))))
    }

    fn sign(&mut self, sign: char) -> bool {
        let is = self.peek() == Some(&Token::Sign(sign));
        self.at += usize::from(is);
        is
    }

    fn identifier(&mut self) -> Option<String> {
        let (Token::Word(name) | Token::Quoted(name)) = self.peek()? else { return None };
        let name = name.clone();
        self.at += 1;
        Some(name)
    }

    fn name(&mut self) -> Option<Name> {
        let first = self.identifier()?;
        if !self.sign('.') {
            return Some(Name { database: self.database.to_string(), table: first });
        }
        Some(Name { database: first, table: self.identifier()? })
    }

    fn names(&mut self) -> Vec<Name> {
        let mut names = Vec::new();
        while let Some(name) = self.name() {
            names.push(name);
            if !self.sign(',') {
                break;
            }
        }
        names
    }

    /// `X'6162',X'',1`, as servers write it.
    fn xid(&mut self) -> Option<Xid> {
        let global = self.hexadecimal()?;
        let branch = if self.sign(',') { self.hexadecimal()? } else { Vec::new() };
        let format = if self.sign(',') { self.word().parse().ok()? } else { 1 };
        Xid::new(format, &global, &branch)
    }

    fn hexadecimal(&mut self) -> Option<Vec<u8>> {
        self.skip(&["X"]).then_some(())?;
        let Some(Token::Text(digits)) = self.peek() else { return None };
        let digit = |c: &u8| char::from(*c).to_digit(16).map(|digit| digit as u8);
        let digits = digits.as_bytes().iter().map(digit).collect::<Option<Vec<u8>>>()?;
        self.at += 1;
        let (pairs, []) = digits.as_chunks::<2>() else { return None };
        Some(pairs.iter().map(|[high, low]| high << 4 | low).collect())
    }

    fn truncate(&mut self) -> Statement {
        self.skip(&["TABLE"]);
        Statement::Emptied(self.names())
    }

    fn drop(&mut self) -> Statement {
        match self.word().as_str() {
            "TABLE" | "TABLES" => {
                self.skip(&["IF", "EXISTS"]);
                Statement::Emptied(self.names())
            }
            "DATABASE" | "SCHEMA" => {
                self.skip(&["IF", "EXISTS"]);
                self.identifier().map_or(Statement::Other, Statement::DroppedDatabase)
            }
            "INDEX" => self.table_after_on(),
            _ => Statement::Other,
        }
    }

    fn rename(&mut self) -> Statement {
        if !self.skip(&["TABLE", "TABLES"]) {
            return Statement::Other;
        }
        let mut names = Vec::new();
        loop {
            self.skip(&["IF", "EXISTS"]);
            let Some(from) = self.name() else { break };
            self.skip(&["WAIT", "NOWAIT", "TO"]);
            names.push(from);
            names.extend(self.name());
            if !self.sign(',') {
                break;
            }
        }
        Statement::Replaced(names)
    }

    fn create(&mut self) -> Statement {
        let replaces = self.next_is("OR");
        self.skip(&["OR", "REPLACE"]);
        if self.skip(&["UNIQUE", "FULLTEXT", "SPATIAL", "INDEX"]) {
            return self.table_after_on();
        }
        if !self.skip(&["TABLE"]) {
            return Statement::Other;
        }
        self.skip(&["IF", "NOT", "EXISTS"]);
        match self.name() {
            Some(name) if replaces => Statement::Emptied(vec![name]),
            Some(name) => Statement::Altered(vec![name]),
            None => Statement::Other,
        }
    }

    fn table_after_on(&mut self) -> Statement {
        self.skip_to("ON");
        self.name().map_or(Statement::Other, |name| Statement::Altered(vec![name]))
    }
}

/// Words, names and signs; comments are left out, but what stands in an executable comment (`/*!50100 … */`) is read.
fn tokens(sql: &str) -> Vec<Token> {
    let mut out = Vec::new();
    let mut rest = sql;
    while let Some(c) = rest.chars().next() {
        rest = match c {
            c if c.is_whitespace() => rest.trim_start(),
            '#' => after(rest, "\n"),
            '-' if rest.starts_with("-- ") || rest.starts_with("--\n") => after(rest, "\n"),
            '/' if rest.starts_with("/*!") || rest.starts_with("/*M!") => {
                let inside = rest.trim_start_matches(['/', '*', 'M', '!']);
                inside.trim_start_matches(|c: char| c.is_ascii_digit())
            }
            '/' if rest.starts_with("/*") => after(&rest[2..], "*/"),
            '*' if rest.starts_with("*/") => &rest[2..],
            '`' | '"' => {
                let (name, rest) = quoted(rest, c);
                out.push(Token::Quoted(name));
                rest
            }
            '\'' => {
                let (text, rest) = quoted(rest, c);
                out.push(Token::Text(text));
                rest
            }
            c if is_word(c) => {
                let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
                out.push(Token::Word(rest[..end].to_string()));
                &rest[end..]
            }
            c => {
                out.push(Token::Sign(c));
                &rest[c.len_utf8()..]
            }
        };
    }
    out
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

fn after<'a>(text: &'a str, end: &str) -> &'a str {
    text.find(end).map_or("", |at| &text[at + end.len()..])
}

/// The inside of a quoted piece and what follows it; a doubled quote stands for itself, and in strings so does what follows a backslash.
fn quoted(text: &str, quote: char) -> (String, &str) {
    let mut inside = String::new();
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((i, c)) = chars.next() {
        if c == '\\' && quote != '`' {
            inside.extend(chars.next().map(|(_, c)| c));
        } else if c != quote {
            inside.push(c);
        } else if chars.peek().is_some_and(|(_, next)| *next == quote) {
            inside.push(quote);
            chars.next();
        } else {
            return (inside, &text[i + quote.len_utf8()..]);
        }
    }
    (inside, "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tables(names: &[&str]) -> Vec<Name> {
        let name = |n: &&str| {
            let (database, table) = n.split_once('.').unwrap();
            Name { database: database.into(), table: table.into() }
        };
        names.iter().map(name).collect()
    }

    #[test]
    fn statements_say_what_they_do_to_rows() {
        use Statement::*;
        let orders = || Name { database: "shop".into(), table: "orders".into() };
        for (sql, expected) in [
            ("COMMIT", Commit),
            ("ROLLBACK", Rollback),
            ("ROLLBACK TO `s`", RollbackToSavepoint),
            ("SAVEPOINT `s`", Other),
            ("BEGIN", Begin),
            ("START TRANSACTION", Begin),
            ("START REPLICA", Other),
            ("XA START X'61',X'',1", XaStart),
            ("XA END X'61',X'',1", Other),
            ("XA COMMIT X'61',X'',1", XaCommit(Xid::new(1, b"a", b""))),
            ("XA COMMIT x'6162' , X'63'", XaCommit(Xid::new(1, b"ab", b"c"))),
            ("XA ROLLBACK X'61',X'',-7", XaRollback(None)),
            ("XA ROLLBACK X'6',X'',1", XaRollback(None)),
            ("insert into t values (1)", Dml),
            ("/* hello */ UPDATE t SET a = 1", Dml),
            ("SELECT `shop`.`f`(1)", Dml),
            ("SET STATEMENT max_statement_time = 1 FOR DELETE FROM t", Dml),
            ("SET PASSWORD FOR 'a'@'%' = 'x'", Other),
            ("TRUNCATE orders", Emptied(tables(&["shop.orders"]))),
            ("truncate table `other`.`or``ders`", Emptied(tables(&["other.or`ders"]))),
            ("DROP TABLE IF EXISTS `a`,x.b /* generated by server */", Emptied(tables(&["shop.a", "x.b"]))),
            ("DROP TEMPORARY TABLE IF EXISTS `a`", Other),
            ("DROP DATABASE `x`", DroppedDatabase("x".into())),
            ("DROP INDEX i ON orders", Altered(tables(&["shop.orders"]))),
            ("DROP VIEW v", Other),
            ("RENAME TABLE a TO b, x.c TO x.d", Replaced(tables(&["shop.a", "shop.b", "x.c", "x.d"]))),
            ("RENAME USER a TO b", Other),
            (
                "ALTER TABLE orders ADD COLUMN note TEXT COMMENT 'RENAME TO x'",
                Rewritten(orders(), Rewrite { added: vec!["note".into()], ..Rewrite::default() }),
            ),
            ("ALTER TABLE x.orders RENAME TO gone", Replaced(tables(&["x.orders", "x.gone"]))),
            ("ALTER ONLINE TABLE orders TRUNCATE PARTITION p0", Replaced(tables(&["shop.orders"]))),
            ("ALTER TABLE orders EXCHANGE PARTITION p0 WITH TABLE other", Replaced(tables(&["shop.orders", "shop.other"]))),
            ("ALTER TABLE orders COMMENT 'a'", Altered(tables(&["shop.orders"]))),
            ("ALTER TABLE orders /*!50100 DROP PARTITION p0 */", Replaced(tables(&["shop.orders"]))),
            ("ALTER DATABASE shop CHARACTER SET utf8mb4", Other),
            ("CREATE TABLE IF NOT EXISTS t (id INT)", Altered(tables(&["shop.t"]))),
            ("CREATE OR REPLACE TABLE t (id INT)", Emptied(tables(&["shop.t"]))),
            ("CREATE UNIQUE INDEX i ON t (a)", Altered(tables(&["shop.t"]))),
            ("CREATE TEMPORARY TABLE t (id INT)", Other),
            ("GRANT ALL ON *.* TO a", Other),
            ("", Other),
        ] {
            assert_eq!(classify(sql, "shop"), expected, "{sql}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_classified(sql in "(ALTER|CREATE|DROP|RENAME|TABLE|`|'|\"|/\\*!?|\\*/|--|#|\\\\|[a-zé. ,]){0,20}") {
            classify(&sql, "shop");
        }
    }
}
