//! `thalweg eval`: expressions on bindings, one JSON line in, one out, in order.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde_json::Value as Json;
use thalweg_formulas::check::Bindings;
use thalweg_formulas::eval::Program;
use thalweg_formulas::{Cell, Code, InputId, Type, Value, check, json, parse};

use super::{Console, Exit, Failure};

/// Evaluate expressions on given values
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  echo '{\"expr\":\"price * qty\",\"bind\":{\"price\":{\"$decimal\":\"1.50\"},\"qty\":2}}' | thalweg eval --input -
  thalweg eval --input cases.jsonl")]
pub struct EvalArgs {
    /// Lines {\"expr\":…,\"bind\":{…}}; `-` is stdin
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
}

pub fn run(args: &EvalArgs, console: &mut Console) -> Result<Exit, Failure> {
    let input: Box<dyn BufRead> = if args.input.as_os_str() == "-" {
        Box::new(io::stdin().lock())
    } else {
        let open = |e| Failure::Said(Exit::Missing, format!("error: cannot read {}: {e}", args.input.display()));
        Box::new(BufReader::new(File::open(&args.input).map_err(open)?))
    };
    let mut exit = Exit::Ok;
    for line in input.lines() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        // One line in, one line out: a line that is no case is answered too, and told by the exit code.
        let answer = match Case::read(&line) {
            Ok(case) => answer(&case),
            Err(why) => {
                exit = Exit::Failed;
                error(Code(461), &why)
            }
        };
        writeln!(console.out(), "{answer}")?;
    }
    Ok(exit)
}

/// One line of input.
struct Case {
    expr: String,
    /// By name. A binding that cannot be read is an error value.
    bind: BTreeMap<String, Cell>,
}

impl Case {
    /// Why the line is not a case.
    fn read(line: &str) -> Result<Case, String> {
        let json: Json = serde_json::from_str(line).map_err(|e| format!("bad JSON: {e}"))?;
        let Some(expr) = json.get("expr").and_then(Json::as_str) else {
            return Err("a case needs `expr`, a string".to_owned());
        };
        let none = serde_json::Map::new();
        let bind = match json.get("bind") {
            None | Some(Json::Null) => &none,
            Some(Json::Object(bind)) => bind,
            Some(_) => return Err("`bind` must be an object".to_owned()),
        };
        let value = |json| json::from_json(json).map_err(|why| thalweg_formulas::Error::new(306, why));
        Ok(Case { expr: expr.to_owned(), bind: bind.iter().map(|(name, json)| (name.clone(), value(json))).collect() })
    }
}

fn answer(case: &Case) -> String {
    let types = case.bind.iter().map(|(name, cell)| (name.clone(), cell.as_ref().map_or(Type::Dyn, type_of)));
    let scope = Bindings::new(types.collect());
    // The scope numbers its inputs in the order of their names, as the map has them.
    let values: Vec<&Cell> = case.bind.values().collect();
    let checked = parse(&case.expr).and_then(|ast| check::check(&ast, &scope));
    let expr = match checked {
        Ok(expr) => expr,
        // One case has one answer: the first problem in the text.
        Err(mut problems) => {
            problems.sort_by_key(|p| p.span.map_or(u32::MAX, |span| span.start));
            return problems.first().map_or_else(String::new, |problem| error(problem.code, &problem.message));
        }
    };
    match Program::compile(&expr).eval(&|id: InputId| values[id.0 as usize].clone()) {
        Err(e) => error(e.code, &e.message),
        Ok(value) => {
            let ty = if *expr.ty() == Type::Dyn { type_of(&value) } else { expr.ty().clone() };
            let mut out = String::from("{\"value\":");
            json::write_as(&value, &ty, &mut out);
            out.push_str(",\"type\":");
            json::write_text(&ty.to_string(), &mut out);
            out.push('}');
            out
        }
    }
}

fn error(code: Code, message: &str) -> String {
    let mut out = format!("{{\"error\":{{\"code\":\"{code}\",\"message\":");
    json::write_text(message, &mut out);
    out.push_str("}}");
    out
}

/// The type that a bound value has: that of its elements where they agree, dynamic where they do not.
fn type_of(value: &Value) -> Type {
    match value {
        Value::Null => Type::Null,
        Value::Bool(_) => Type::Bool,
        Value::Int(_) => Type::Int,
        Value::Uint(_) => Type::Uint,
        Value::Double(_) => Type::Double,
        Value::Decimal(x) => Type::Decimal { precision: x.digits(), scale: x.scale() },
        Value::Text(_) => Type::Text,
        Value::Bytes(_) => Type::Bytes,
        Value::Timestamp(_) => Type::Timestamp,
        Value::Duration(_) => Type::Duration,
        Value::List(items) => Type::List(Arc::new(common(items.iter()))),
        Value::Map(entries) => Type::Map(Arc::new(common(entries.keys())), Arc::new(common(entries.values()))),
        Value::Tensor(x) => Type::Tensor(thalweg_formulas::types::TensorType {
            dtype: thalweg_formulas::types::Dtype::F64,
            shape: x.array().shape().to_vec(),
        }),
    }
}

fn common<'a>(mut values: impl Iterator<Item = &'a Value>) -> Type {
    let Some(first) = values.next().map(type_of) else { return Type::Dyn };
    if values.all(|value| type_of(value) == first) { first } else { Type::Dyn }
}
