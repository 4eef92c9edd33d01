//! Which tables are watched: a list of `db.table`, where `*` stands for any text and `?` for one character.
//!
//! The tables in which SQL sinks leave their marks are never among them: they tell of the other tables' rows who wrote those.

use thalweg_graph::cause::is_mark_table;

/// The watched tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watch {
    patterns: Vec<(String, String)>,
    excluded: Vec<String>,
}

/// Databases of the server itself; a pattern never reaches them, a plain name does.
const SYSTEM: [&str; 4] = ["mysql", "information_schema", "performance_schema", "sys"];

impl Watch {
    /// From `db.table` patterns; one without a dot is in `database`, and an empty list is all of `database`.
    ///
    /// # Errors
    /// The first pattern that has no database or names a table of marks, as text with the cure.
    pub fn new(patterns: &[String], database: Option<&str>) -> Result<Watch, String> {
        let all = ["*".to_string()];
        let patterns = if patterns.is_empty() { &all } else { patterns };
        let split = |pattern: &String| match (pattern.split_once('.'), database) {
            (Some((database, table)), _) => Ok((database.to_string(), table.to_string())),
            (None, Some(database)) => Ok((database.to_string(), pattern.clone())),
            (None, None) => {
                Err(format!("`{pattern}` names no database; write `database.{pattern}` or end the url with /database"))
            }
        };
        let patterns: Vec<(String, String)> = patterns.iter().map(split).collect::<Result<_, _>>()?;
        match patterns.iter().find(|(_, table)| is_mark_table(table)) {
            Some((database, table)) => Err(format!(
                "`{database}.{table}` holds the marks of SQL actions, and is never a source; leave it out of `tables`"
            )),
            None => Ok(Watch { patterns, excluded: Vec::new() }),
        }
    }

    /// Leaves out what has a watched name and is no table: `db.name`.
    pub fn exclude(&mut self, names: Vec<String>) {
        self.excluded = names;
    }

    /// Whether a table is watched.
    pub fn matches(&self, database: &str, table: &str) -> bool {
        let is_it = |name: &String| name.split_once('.') == Some((database, table));
        let is_watched = || self.patterns.iter().any(|(d, t)| matches_both(d, t, database, table));
        !is_mark_table(table) && !self.excluded.iter().any(is_it) && is_watched()
    }

    /// Whether a table holds the marks of what sinks wrote into watched tables.
    pub fn marks(&self, database: &str, table: &str) -> bool {
        is_mark_table(table) && self.reaches(database)
    }

    /// Whether tables of this database may be watched.
    pub fn reaches(&self, database: &str) -> bool {
        self.patterns.iter().any(|(d, _)| matches_both(d, "", database, ""))
    }

    /// The patterns as database and table.
    pub fn patterns(&self) -> impl Iterator<Item = (&str, &str)> {
        self.patterns.iter().map(|(d, t)| (d.as_str(), t.as_str()))
    }

    /// Whether a pattern has wild cards, so that it may match nothing yet.
    pub fn is_wild(pattern: &str) -> bool {
        pattern.contains(['*', '?'])
    }
}

fn matches_both(database_pattern: &str, table_pattern: &str, database: &str, table: &str) -> bool {
    let system = SYSTEM.contains(&database) && Watch::is_wild(database_pattern);
    !system && glob(database_pattern.as_bytes(), database.as_bytes()) && glob(table_pattern.as_bytes(), table.as_bytes())
}

/// Matches with one place to go back to: the last `*`.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                back = Some((p + 1, t));
                p += 1;
            }
            Some(c) if *c == b'?' || *c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match &mut back {
                Some((after, from)) => {
                    *from += 1;
                    (p, t) = (*after, *from);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_databases_and_tables() {
        let watch =
            Watch::new(&["shop.*".into(), "*.audit_?".into(), "orders".into(), "mysql.user".into()], Some("main")).unwrap();
        for (database, table, matched) in [
            ("shop", "orders", true),
            ("shop2", "orders", false),
            ("main", "orders", true),
            ("any", "audit_1", true),
            ("any", "audit_12", false),
            ("mysql", "audit_1", false),
            ("mysql", "user", true),
            ("shop", "thalweg_rows", false),
        ] {
            assert_eq!(watch.matches(database, table), matched, "{database}.{table}");
        }
        assert!(Watch::new(&[], Some("shop")).unwrap().matches("shop", "anything"));
        let error = Watch::new(&["orders".into()], None).unwrap_err();
        assert_eq!(error, "`orders` names no database; write `database.orders` or end the url with /database");
        let error = Watch::new(&["shop.orders".into(), "shop.thalweg_rows".into()], None).unwrap_err();
        assert_eq!(error, "`shop.thalweg_rows` holds the marks of SQL actions, and is never a source; leave it out of `tables`");
        assert!(watch.marks("shop", "thalweg_rows") && watch.marks("main", "thalweg_applied"));
        assert!(!watch.marks("mysql", "user") && !watch.marks("shop", "orders"));
    }
}
