//! What a user may do, from what SHOW GRANTS says.

use mysql_async::Conn;

use super::connect::{Flavour, ask, ask_first};
use super::failure::Failure;

/// Every grant of a user, its roles' among them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Grants(Vec<Grant>);

/// One line of SHOW GRANTS.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Grant {
    privileges: Vec<String>,
    /// A name or `*`; where `table` is `*` it is a pattern as of LIKE.
    database: String,
    /// A name or `*`.
    table: String,
}

impl Grants {
    /// What this user may do, by itself and by its roles.
    pub(crate) async fn ask(conn: &mut Conn, flavour: Flavour) -> Result<Grants, Failure> {
        let own: Vec<String> = ask(conn, "SHOW GRANTS").await?;
        // MariaDB shows those of roles beside one's own; Dolt does not tell the active ones.
        if matches!(flavour, Flavour::MariaDb | Flavour::Dolt) {
            return Ok(Grants::parse(&own));
        }
        let roles: String = ask_first(conn, "SELECT CURRENT_ROLE()").await?.unwrap_or_default();
        if roles.is_empty() || roles == "NONE" {
            return Ok(Grants::parse(&own));
        }
        let all: Vec<String> = ask(conn, format!("SHOW GRANTS FOR CURRENT_USER() USING {roles}")).await?;
        Ok(Grants::parse(&all))
    }

    /// Reads the lines; those that are about no table (roles, proxies, procedures) give nothing.
    fn parse(lines: &[String]) -> Grants {
        Grants(lines.iter().filter_map(|line| grant(line)).collect())
    }

    /// Whether the privilege holds on the whole server.
    pub(crate) fn everywhere(&self, privilege: &str) -> bool {
        self.0.iter().any(|g| g.gives(privilege) && g.database == "*")
    }

    /// Whether it holds on a table; with `*` as the table, on the whole database.
    pub(crate) fn on(&self, privilege: &str, database: &str, table: &str) -> bool {
        self.0.iter().any(|g| g.gives(privilege) && g.covers(database, table))
    }

    /// Whether it holds on some table of a database at least.
    pub(crate) fn somewhere_in(&self, privilege: &str, database: &str) -> bool {
        self.on(privilege, database, "*") || self.0.iter().any(|g| g.gives(privilege) && g.database == database)
    }
}

impl Grant {
    fn gives(&self, privilege: &str) -> bool {
        self.privileges.iter().any(|p| p == privilege || p == "ALL PRIVILEGES" || p == "ALL")
    }

    fn covers(&self, database: &str, table: &str) -> bool {
        match (self.database.as_str(), self.table.as_str()) {
            ("*", _) => true,
            (pattern, "*") => like(pattern, database),
            (own, name) => own == database && name == table,
        }
    }
}

/// `'reader'@'%'`.
pub(crate) fn account(user: &str) -> String {
    let (name, host) = user.rsplit_once('@').unwrap_or((user, "%"));
    format!("'{}'@'{}'", name.replace('\'', "''"), host.replace('\'', "''"))
}

/// The privilege to ask what the log leaves out and what of it was purged.
pub(crate) fn monitor(flavour: Flavour) -> &'static str {
    if flavour == Flavour::MariaDb { "BINLOG MONITOR" } else { "REPLICATION CLIENT" }
}

/// ``GRANT SELECT, INSERT ON `shop`.* TO `reader`@`%` …``
fn grant(line: &str) -> Option<Grant> {
    let (privileges, rest) = line.strip_prefix("GRANT ")?.split_once(" ON ")?;
    let (database, rest) = name(rest)?;
    let (table, _) = name(rest.strip_prefix('.')?)?;
    Some(Grant { privileges: privileges.split(", ").map(String::from).collect(), database, table })
}

/// A quoted name or `*`, and what follows it.
fn name(text: &str) -> Option<(String, &str)> {
    if let Some(rest) = text.strip_prefix('*') {
        return Some(("*".into(), rest));
    }
    let mut rest = text.strip_prefix('`')?;
    let mut name = String::new();
    loop {
        let (part, behind) = rest.split_once('`')?;
        name.push_str(part);
        match behind.strip_prefix('`') {
            Some(more) => {
                name.push('`');
                rest = more;
            }
            None => return Some((name, behind)),
        }
    }
}

/// LIKE, with `\` before a `%` or `_` that is meant as itself.
fn like(pattern: &str, text: &str) -> bool {
    let mut pattern = pattern.chars();
    let mut text = text.chars();
    match pattern.next() {
        None => text.next().is_none(),
        Some('%') => {
            let rest = pattern.as_str();
            std::iter::successors(Some(text.as_str()), |left| left.char_indices().nth(1).map(|(i, _)| &left[i..]))
                .chain([""])
                .any(|left| like(rest, left))
        }
        Some('_') => text.next().is_some() && like(pattern.as_str(), text.as_str()),
        Some('\\') => {
            let plain = pattern.next().unwrap_or('\\');
            text.next() == Some(plain) && like(pattern.as_str(), text.as_str())
        }
        Some(plain) => text.next() == Some(plain) && like(pattern.as_str(), text.as_str()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_show_grants_says_is_understood() {
        let lines = [
            "GRANT REPLICATION SLAVE, BINLOG MONITOR ON *.* TO `reader`@`%` IDENTIFIED BY PASSWORD '*AA'",
            "GRANT SELECT, LOCK TABLES ON `shop`.* TO `reader`@`%`",
            "GRANT SELECT ON `st\\_%`.* TO `reader`@`%`",
            "GRANT INSERT, SELECT (`a`, `b`) ON `x``y`.`t_1` TO `reader`@`%`",
            "GRANT `clerk` TO `reader`@`%`",
            "GRANT EXECUTE ON PROCEDURE `shop`.`f` TO `reader`@`%`",
            "GRANT PROXY ON ''@'%' TO 'root'@'localhost' WITH GRANT OPTION",
        ];
        let grants = Grants::parse(&lines.map(String::from));
        assert!(grants.everywhere("REPLICATION SLAVE") && grants.everywhere("BINLOG MONITOR"));
        assert!(!grants.everywhere("SELECT") && !grants.everywhere("EXECUTE"));
        for (privilege, database, table, held) in [
            ("SELECT", "shop", "orders", true),
            ("SELECT", "shop", "*", true),
            ("INSERT", "shop", "orders", false),
            ("SELECT", "shops", "orders", false),
            ("SELECT", "st_1", "x", true),
            ("SELECT", "st_", "x", true),
            ("SELECT", "str", "x", false),
            ("INSERT", "x`y", "t_1", true),
            ("INSERT", "x`y", "tu1", false),
            ("SELECT", "x`y", "t_1", false),
            ("INSERT", "x`y", "*", false),
        ] {
            assert_eq!(grants.on(privilege, database, table), held, "{privilege} {database}.{table}");
        }
        assert!(grants.somewhere_in("INSERT", "x`y") && !grants.somewhere_in("DELETE", "x`y"));
        let root = Grants::parse(&["GRANT ALL PRIVILEGES ON *.* TO `root`@`localhost` WITH GRANT OPTION".to_string()]);
        assert!(root.everywhere("RELOAD") && root.on("SELECT", "a", "b"));
        let admin = Grants::parse(&["GRANT REPLICATION SLAVE ADMIN ON *.* TO `admin`@`%`".to_string()]);
        assert!(!admin.everywhere("REPLICATION SLAVE"), "a name that begins like another's is another privilege");
    }
}
