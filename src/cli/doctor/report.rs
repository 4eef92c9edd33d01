//! Findings as lines for people, with what mends them at the end, and as JSON lines.

use std::io::{self, Write};

use serde_json::json;
use thalweg_sources::mysql::{Finding, Grade};

use super::look::Section;

/// For people.
pub fn text(sections: &[Section], out: &mut dyn Write) -> io::Result<()> {
    for section in sections {
        match &section.server {
            Some(place) => writeln!(out, "{} {place}", section.about)?,
            None => writeln!(out, "{}", section.about)?,
        }
        let width = section.findings.iter().map(|f| f.name.chars().count()).max().unwrap_or(0);
        section.findings.iter().try_for_each(|f| line(f, width, out))?;
        writeln!(out)?;
    }
    block(sections, out)?;
    writeln!(out, "{}", summary(sections))
}

fn line(finding: &Finding, width: usize, out: &mut dyn Write) -> io::Result<()> {
    let Finding { name, found, .. } = finding;
    let code = finding.code.map_or(String::new(), |code| format!(" [{code}]"));
    writeln!(out, "  {:<4}  {name:<width$}  {found}{code}", word(finding.grade))?;
    // What is to be run stands at the end, once.
    match finding.cure.as_ref().filter(|cure| finding.sql.is_empty() || !cure.starts_with("run on the server: ")) {
        Some(cure) => writeln!(out, "        {:<width$}  = help: {cure}", ""),
        None => Ok(()),
    }
}

/// What mends it, server by server, each statement once.
fn block(sections: &[Section], out: &mut dyn Write) -> io::Result<()> {
    for section in sections {
        let mut lines: Vec<&str> = Vec::new();
        for line in section.findings.iter().flat_map(|finding| &finding.sql) {
            if !lines.contains(&line.as_str()) {
                lines.push(line);
            }
        }
        let Some(place) = section.server.as_ref().filter(|_| !lines.is_empty()) else { continue };
        let host = place.rsplit('@').next().unwrap_or(place);
        writeln!(
            out,
            "-- to be run on {host} by an administrator; clients that write must connect anew to follow a changed setting"
        )?;
        lines.iter().try_for_each(|line| writeln!(out, "{line}"))?;
        writeln!(out)?;
    }
    Ok(())
}

/// "17 ok, 1 warn, 2 bad".
fn summary(sections: &[Section]) -> String {
    let count = |grade| sections.iter().flat_map(|section| &section.findings).filter(|f| f.grade == grade).count();
    [Grade::Ok, Grade::Warn, Grade::Bad].map(|grade| format!("{} {}", count(grade), word(grade))).join(", ")
}

fn word(grade: Grade) -> &'static str {
    match grade {
        Grade::Ok => "ok",
        Grade::Warn => "warn",
        Grade::Bad => "bad",
    }
}

/// For programs: one object a finding.
pub fn lines(sections: &[Section], out: &mut dyn Write) -> io::Result<()> {
    for section in sections {
        for finding in &section.findings {
            let line = json!({
                "v": 1,
                "about": section.about,
                "server": section.server,
                "name": finding.name,
                "grade": word(finding.grade),
                "found": finding.found,
                "code": finding.code.map(|code| code.to_string()),
                "help": finding.cure,
                "sql": finding.sql,
            });
            writeln!(out, "{line}")?;
        }
    }
    Ok(())
}
