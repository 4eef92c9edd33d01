//! `thalweg doctor`: would a run work, and if not, what is to be done? Nothing is changed, on no server and in no file.
//!
//! - `look` asks the definition, the data directory and the servers, `actions` what actions write to and send to.
//! - `report` shows what was found, and at the end the SQL that mends it, as one block a server.
//!
//! Exit: 3 where the definition has errors, else 4 where anything is bad, else 0.

mod actions;
mod look;
mod report;

use std::path::{Path, PathBuf};

use clap::Args;
use thalweg::config::{Environment, Secret};
use thalweg_sources::mysql::{Grade, MysqlConfig, Stands, examine};

use super::run::in_runtime;
use super::{Console, Exit, Failure, definition};
use look::Section;

/// Look at servers, data and definition, and say what to mend
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  thalweg doctor thalweg.toml                                     everything that a run needs
  thalweg doctor 'mysql://reader:${DB_PASSWORD}@localhost/shop'   one server, before there is a configuration
  thalweg doctor thalweg.toml --json | jq 'select(.grade == \"bad\")'

Exit: 0 all is ok or a warning, 3 the definition has errors, 4 something outside is wrong or missing")]
pub struct DoctorArgs {
    /// A configuration, or mysql://USER:${PASSWORD}@HOST:PORT/DATABASE
    #[arg(value_name = "URL-or-CONFIG")]
    subject: String,
    /// The data directory; default: `.thalweg` beside the configuration
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Show the secret that signs webhooks which name none
    #[arg(long)]
    show_secret: bool,
    /// One JSON object a finding, on stdout
    #[arg(long)]
    json: bool,
}

pub fn run(args: &DoctorArgs, console: &mut Console) -> Result<Exit, Failure> {
    let sections = match args.subject.contains("://") {
        true => vec![in_runtime(server(args))?],
        false => whole(args)?,
    };
    match args.json {
        true => report::lines(&sections, console.out())?,
        false => report::text(&sections, console.out())?,
    }
    let exit = exit(&sections);
    if exit == Exit::Ok && !args.json {
        let verb = if args.subject.contains("://") { "tail" } else { "run" };
        let shown = if verb == "run" { args.subject.as_str() } else { "URL" };
        console.next(&format!("thalweg {verb} {shown}"));
    }
    Ok(exit)
}

/// One server by its URL.
async fn server(args: &DoctorArgs) -> Result<Section, Failure> {
    let usage = |text: &str| Failure::Said(Exit::Usage, format!("error: {text}"));
    if !args.subject.starts_with("mysql://") {
        return Err(usage(
            "a server's url begins with mysql://\n  = help: thalweg doctor 'mysql://USER:${PASSWORD}@HOST:3306/DATABASE'",
        ));
    }
    if args.data.is_some() || args.show_secret {
        return Err(usage("--data and --show-secret go with a configuration, not with a url"));
    }
    let url = Secret::new(args.subject.as_str()).reveal_url(&Environment::process());
    let url = url.map_err(|why| Failure::Said(Exit::Missing, format!("error: {why}")))?;
    let examined = examine(&MysqlConfig::new("", &url), Stands::Unknown).await;
    Ok(Section { about: "server".into(), server: Some(look::place(&url)), is_definition: false, findings: examined.findings })
}

/// All that a configuration names.
fn whole(args: &DoctorArgs) -> Result<Vec<Section>, Failure> {
    let config = match definition::load(Path::new(&args.subject)) {
        Ok(config) => config,
        Err(Failure::Findings(diags)) => return Ok(vec![look::definition(&diags)]),
        Err(failure) => return Err(failure),
    };
    let (data, positions) = look::data(&config, args.data.clone(), args.show_secret);
    let (servers, schemas) = in_runtime(look::servers(&config, positions.as_deref()))?;
    let diags = match definition::plan(&config, &schemas) {
        Ok((_, warnings)) => warnings,
        Err(diags) => diags,
    };
    let mut sections = vec![look::definition(&diags), data];
    sections.extend(look::pages(&config, positions.is_none()));
    sections.extend(servers);
    sections.extend(in_runtime(async { Ok(actions::sections(&config).await) })?);
    Ok(sections)
}

fn exit(sections: &[Section]) -> Exit {
    let is_bad = |section: &&Section| section.findings.iter().any(|f| f.grade == Grade::Bad);
    match sections.iter().filter(is_bad).any(|section| section.is_definition) {
        true => Exit::Findings,
        false if sections.iter().any(|section| is_bad(&section)) => Exit::Missing,
        false => Exit::Ok,
    }
}
