//! What `ALTER TABLE` does: clause by clause, so that a table is read again only where its rows may hold something else.
//!
//! Whatever is not known here counts as a change of any value: reading rows again costs time, and passing one by would leave it wrong.

use super::{Name, Rewrite, Scanner, Statement, Token};

/// What is done so far.
#[derive(Default)]
struct Done {
    rewrite: Rewrite,
    /// Rows go, come or move, and these tables take part.
    moved: Option<Vec<Name>>,
}

impl Done {
    fn moves(&mut self, others: impl IntoIterator<Item = Name>) {
        self.moved.get_or_insert_default().extend(others);
    }
}

/// Clauses that rows do not show, by their first word. What begins with a name is told by [`Scanner::column`].
const UNSEEN: &[&str] = &[
    "ALGORITHM",
    "ANALYZE",
    "AUTO_INCREMENT",
    "AVG_ROW_LENGTH",
    "CHARACTER",
    "CHARSET",
    "CHECK",
    "CHECKSUM",
    "COALESCE",
    "COLLATE",
    "COMMENT",
    "COMPRESSION",
    "CONNECTION",
    "DEFAULT",
    "DELAY_KEY_WRITE",
    "DISABLE",
    "ENABLE",
    "ENCRYPTION",
    "ENGINE",
    "FORCE",
    "INSERT_METHOD",
    "KEY_BLOCK_SIZE",
    "LOCK",
    "MAX_ROWS",
    "MIN_ROWS",
    "OPTIMIZE",
    "ORDER",
    "PACK_KEYS",
    "PAGE_CHECKSUM",
    "PAGE_COMPRESSED",
    "PARTITION",
    "REBUILD",
    "REMOVE",
    "REORGANIZE",
    "REPAIR",
    "ROW_FORMAT",
    "SECONDARY_LOAD",
    "SECONDARY_UNLOAD",
    "STATS_AUTO_RECALC",
    "STATS_PERSISTENT",
    "STATS_SAMPLE_PAGES",
    "TABLESPACE",
    "TRANSACTIONAL",
    "WITH",
    "WITHOUT",
];

/// What is added and is no column; all are reserved words.
const NO_COLUMN: &[&str] =
    &["CHECK", "CONSTRAINT", "FOREIGN", "FULLTEXT", "INDEX", "KEY", "PARTITION", "PRIMARY", "SPATIAL", "UNIQUE", "VECTOR"];

/// In the definition of a column: rows that are there get a value.
const GIVES_VALUE: &[&str] = &["AS", "AUTO_INCREMENT", "GENERATED", "NOT", "SERIAL"];

impl Scanner<'_> {
    pub(super) fn alter(&mut self) -> Statement {
        let mut done = Done::default();
        self.skip(&["ONLINE"]);
        if self.skip(&["IGNORE"]) {
            done.moves([]); // Rows go that a new key would find twice.
        }
        self.skip(&["ONLINE"]);
        if !self.skip(&["TABLE"]) {
            return Statement::Other;
        }
        self.skip(&["IF", "EXISTS"]);
        let Some(table) = self.name() else { return Statement::Other };
        if self.skip(&["WAIT"]) {
            self.at += 1; // the seconds
        }
        self.skip(&["NOWAIT"]);
        while self.at < self.tokens.len() {
            self.clause(&table, &mut done);
            self.next_clause();
        }
        match done {
            Done { moved: Some(others), .. } => Statement::Replaced([vec![table], others].concat()),
            Done { rewrite, .. } if rewrite != Rewrite::default() => Statement::Rewritten(table, rewrite),
            Done { .. } => Statement::Altered(vec![table]),
        }
    }

    /// One clause, up to somewhere before its comma; `ADD (…)` may add several columns.
    fn clause(&mut self, table: &Name, done: &mut Done) {
        match self.word().as_str() {
            "ADD" => self.add(done),
            "DROP" => self.drop_part(done),
            "TRUNCATE" | "DISCARD" | "IMPORT" => done.moves([]),
            "EXCHANGE" => done.moves(self.table_after_table()),
            "CONVERT" if self.next_is("PARTITION") || self.next_is("TABLE") => done.moves(self.table_after_table()),
            "RENAME" if self.next_is("INDEX") || self.next_is("KEY") => {}
            "RENAME" if !self.next_is("COLUMN") => {
                self.skip(&["TO", "AS"]);
                let database = table.database.clone();
                done.moves(self.name().map(|n| if n.database == self.database { Name { database, ..n } } else { n }));
            }
            "ALTER" => {} // What it says is for rows to come.
            word if UNSEEN.contains(&word) => {}
            word @ ("RENAME" | "MODIFY" | "CHANGE") => {
                done.rewrite.values = true;
                self.skip(&["COLUMN"]);
                self.skip(&["IF", "EXISTS"]);
                done.rewrite.changed.extend(self.identifier());
                self.skip(&["TO"]);
                done.rewrite.changed.extend((word != "MODIFY").then(|| self.identifier()).flatten());
            }
            _ => done.rewrite.values |= self.at < self.tokens.len(), // CONVERT TO CHARACTER SET, and what is not known
        }
    }

    fn add(&mut self, done: &mut Done) {
        let is_column = self.skip(&["COLUMN"]);
        if !is_column && NO_COLUMN.iter().any(|word| self.next_is(word)) {
            return self.add_key(done);
        }
        if !is_column && (self.next_is("SYSTEM") || self.next_is("PERIOD")) {
            done.rewrite.values = true;
            return;
        }
        self.skip(&["IF", "NOT", "EXISTS"]);
        if !self.sign('(') {
            return self.column(done);
        }
        while self.at < self.tokens.len() && !self.sign(')') {
            match NO_COLUMN.iter().any(|word| self.next_is(word)) {
                true => self.add_key(done),
                false => self.column(done),
            }
            self.skip_part();
            self.sign(',');
        }
    }

    fn add_key(&mut self, done: &mut Done) {
        if self.skip(&["CONSTRAINT"]) && !self.next_is("PRIMARY") {
            self.identifier(); // its name
        }
        done.rewrite.key |= self.next_is("PRIMARY");
    }

    fn drop_part(&mut self, done: &mut Done) {
        let is_column = self.skip(&["COLUMN"]);
        if !is_column && self.next_is("PARTITION") {
            done.moves([]);
        } else if !is_column && self.next_is("PRIMARY") {
            done.rewrite.key = true;
        } else if is_column || !NO_COLUMN.iter().any(|word| self.next_is(word)) {
            self.skip(&["IF", "EXISTS"]);
            done.rewrite.dropped.extend(self.identifier());
        }
    }

    /// The definition of a column that comes: what the rows that are there get.
    fn column(&mut self, done: &mut Done) {
        let name = self.identifier();
        let begin = self.at;
        self.skip_part();
        let words = &self.tokens[begin..self.at];
        let is = |token: &Token, word: &str| matches!(token, Token::Word(w) if w.eq_ignore_ascii_case(word));
        let has = |word: &str| words.iter().any(|token| is(token, word));
        let is_null = |at: usize| words.get(at).is_some_and(|token| is(token, "NULL"));
        let has_default = words.iter().enumerate().any(|(at, token)| is(token, "DEFAULT") && !is_null(at + 1));
        // A TIMESTAMP that does not say NULL may be the time of its making.
        let is_time = has("TIMESTAMP") && !has("NULL");
        done.rewrite.key |= has("PRIMARY") || has("KEY") && !has("UNIQUE");
        match name {
            Some(name) if !has_default && !is_time && !GIVES_VALUE.iter().any(|word| has(word)) => done.rewrite.added.push(name),
            _ => done.rewrite.values = true,
        }
    }

    /// Up to the comma or the bracket that ends what stands here, brackets within it passed by.
    fn skip_part(&mut self) {
        let mut depth = 0;
        while let Some(token) = self.peek() {
            match token {
                Token::Sign('(') => depth += 1,
                Token::Sign(',' | ')') if depth == 0 => return,
                Token::Sign(')') => depth -= 1,
                _ => {}
            }
            self.at += 1;
        }
    }

    /// Behind the comma that ends this clause.
    fn next_clause(&mut self) {
        while self.at < self.tokens.len() {
            self.skip_part();
            let is_comma = self.peek() == Some(&Token::Sign(','));
            self.at += 1;
            if is_comma {
                return;
            }
        }
    }

    /// The name behind the next `TABLE`.
    fn table_after_table(&mut self) -> Vec<Name> {
        self.skip_to("TABLE");
        self.name().into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::classify;
    use super::*;

    fn name(table: &str) -> Name {
        Name { database: "shop".into(), table: table.into() }
    }

    #[test]
    fn an_alter_says_whether_rows_hold_something_else() {
        let none = || Statement::Altered(vec![name("t")]);
        let names = |names: &[&str]| names.iter().map(|name| name.to_string()).collect();
        let rewritten = |rewrite: Rewrite| Statement::Rewritten(name("t"), rewrite);
        let values = || rewritten(Rewrite { values: true, ..Rewrite::default() });
        let changed = |columns: &[&str]| rewritten(Rewrite { values: true, changed: names(columns), ..Rewrite::default() });
        let parted = |dropped: &[&str], added: &[&str]| {
            rewritten(Rewrite { dropped: names(dropped), added: names(added), ..Rewrite::default() })
        };
        let key =
            |values: bool, added: &[&str]| rewritten(Rewrite { key: true, values, added: names(added), ..Rewrite::default() });
        let moved = |others: &[&str]| Statement::Replaced(["t"].iter().chain(others).map(|t| name(t)).collect());
        for (clauses, expected) in [
            ("ADD COLUMN note TEXT", parted(&[], &["note"])),
            ("ADD `no,te` DECIMAL(10, 2) DEFAULT NULL COMMENT 'NOT NULL, DEFAULT 1' AFTER id", parted(&[], &["no,te"])),
            ("ADD COLUMN IF NOT EXISTS (a INT, b SET('x','y') NULL, KEY (a, b))", parted(&[], &["a", "b"])),
            ("DROP COLUMN a, ADD a INT UNIQUE KEY", parted(&["a"], &["a"])),
            ("DROP `drop`, DROP IF EXISTS b, DROP KEY k, DROP CONSTRAINT c, DROP FOREIGN KEY f", parted(&["drop", "b"], &[])),
            ("ADD c TIMESTAMP NULL DEFAULT NULL", parted(&[], &["c"])),
            ("ADD c TIMESTAMP", values()),
            ("ADD c INT DEFAULT 5", values()),
            ("ADD c INT NOT NULL", values()),
            ("ADD c INT GENERATED ALWAYS AS (a + 1)", values()),
            ("ADD COLUMN n BIGINT UNSIGNED AUTO_INCREMENT, ADD KEY (n)", values()),
            (
                "ADD (a INT, c INT AS (a + 1) STORED)",
                rewritten(Rewrite { values: true, added: names(&["a"]), ..Rewrite::default() }),
            ),
            ("MODIFY COLUMN `b c` BIGINT", changed(&["b c"])),
            ("CHANGE a b INT, RENAME COLUMN c TO d", changed(&["a", "b", "c", "d"])),
            ("CONVERT TO CHARACTER SET utf8mb4", values()),
            ("ADD SYSTEM VERSIONING", values()),
            ("SOMETHING NEW", values()),
            ("ADD INDEX i (a), ADD UNIQUE KEY (b), ADD CONSTRAINT x FOREIGN KEY (a) REFERENCES u (id) ON DELETE CASCADE", none()),
            ("ALTER COLUMN a SET DEFAULT 7, ALTER b DROP DEFAULT", none()),
            ("RENAME INDEX a TO b, COMMENT 'MODIFY a INT', ENGINE = InnoDB, ALGORITHM=INPLACE, LOCK=NONE", none()),
            ("AUTO_INCREMENT = 100 ROW_FORMAT=DYNAMIC DEFAULT CHARSET = utf8mb4", none()),
            ("FORCE", none()),
            ("ADD PARTITION (PARTITION p1 VALUES LESS THAN (10))", none()),
            ("REORGANIZE PARTITION p0 INTO (PARTITION p1 VALUES LESS THAN (10), PARTITION p2 VALUES LESS THAN MAXVALUE)", none()),
            ("ORDER BY a, b", none()),
            ("ADD COLUMN a INT DEFAULT 1, RENAME TO u", moved(&["u"])),
            ("RENAME u", moved(&["u"])),
            ("DROP PARTITION p0", moved(&[])),
            ("TRUNCATE PARTITION p0", moved(&[])),
            ("EXCHANGE PARTITION p0 WITH TABLE u WITH VALIDATION", moved(&["u"])),
            ("CONVERT TABLE u TO PARTITION p9 VALUES LESS THAN (10)", moved(&["u"])),
            ("IMPORT TABLESPACE", moved(&[])),
            ("DROP PRIMARY KEY", key(false, &[])),
            ("ADD CONSTRAINT `pk` PRIMARY KEY (id, b)", key(false, &[])),
            ("ADD id INT AUTO_INCREMENT PRIMARY KEY FIRST", key(true, &[])),
            ("ADD (id INT, CONSTRAINT PRIMARY KEY (id))", key(false, &["id"])),
            ("", none()),
        ] {
            assert_eq!(classify(&format!("ALTER TABLE t {clauses}"), "shop"), expected, "{clauses}");
        }
        assert_eq!(classify("ALTER IGNORE TABLE t ADD UNIQUE (a)", "shop"), moved(&[]));
        assert_eq!(classify("ALTER ONLINE TABLE IF EXISTS shop.t NOWAIT ADD a INT", "x"), parted(&[], &["a"]));
    }
}
