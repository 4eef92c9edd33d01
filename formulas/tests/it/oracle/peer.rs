//! The other evaluator.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use cel::objects::Key;
use cel::{Context, Env, extensions};
use thalweg_formulas::Value;

use super::row::{NAMES, Row};

/// CEL's standard library with its extensions for texts, lists and numbers.
pub struct Peer(Arc<Env>);

impl Peer {
    pub fn shared() -> &'static Peer {
        static PEER: LazyLock<Peer> = LazyLock::new(|| {
            let mut env = Env::stdlib();
            env.add_extension(extensions::strings).unwrap();
            env.add_extension(extensions::lists).unwrap();
            env.add_extension(extensions::math).unwrap();
            Peer(Arc::new(env))
        });
        &PEER
    }

    /// The value of `text` on `row`, or what its error says.
    pub fn eval(&self, text: &str, row: &Row) -> Result<Value, String> {
        let program = self.0.compile(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let mut context = Context::with_env(Arc::clone(&self.0));
        for ((name, _), value) in NAMES.iter().zip(row.values()) {
            context.add_variable_from_value(*name, theirs(value));
        }
        program.execute(&context).map(|value| ours(&value)).map_err(|error| error.to_string())
    }
}

fn theirs(value: &Value) -> cel::Value {
    match value {
        Value::Bool(b) => cel::Value::Bool(*b),
        Value::Int(i) => cel::Value::Int(*i),
        Value::Uint(u) => cel::Value::UInt(*u),
        Value::Double(x) => cel::Value::Float(*x),
        Value::Text(s) => cel::Value::from(&**s),
        Value::Bytes(b) => cel::Value::Bytes(Arc::new(b.to_vec())),
        Value::List(items) => cel::Value::List(Arc::new(items.iter().map(theirs).collect())),
        Value::Map(map) => {
            let key = |key: &Value| if let Value::Text(key) = key { Key::from(&**key) } else { panic!("{key:?}") };
            cel::Value::from(map.iter().map(|(k, v)| (key(k), theirs(v))).collect::<HashMap<_, _>>())
        }
        other => panic!("not in the subset: {other:?}"),
    }
}

fn ours(value: &cel::Value) -> Value {
    match value {
        cel::Value::Bool(b) => Value::Bool(*b),
        cel::Value::Int(i) => Value::Int(*i),
        cel::Value::UInt(u) => Value::Uint(*u),
        cel::Value::Float(x) => Value::double(*x),
        cel::Value::String(s) => Value::text(s.as_str()),
        cel::Value::Bytes(b) => Value::Bytes(b.as_slice().into()),
        cel::Value::List(items) => Value::list(items.iter().map(ours)),
        cel::Value::Map(map) => Value::Map(Arc::new(map.map.iter().map(|(k, v)| (ours(&k.into()), ours(v))).collect())),
        other => panic!("not in the subset: {other:?}"),
    }
}
