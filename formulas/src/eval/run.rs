//! Walking the nodes.

use std::collections::BTreeMap;
use std::sync::Arc;

use regex::Regex;
use smallvec::SmallVec;

use super::compile::{Callee, Chain, Loop, Node};
use super::{Fuel, Inputs};
use crate::ast::BinaryOp;
use crate::errors;
use crate::expr::Comprehension;
use crate::functions::Nulls;
use crate::ops::{self, Logic};
use crate::problem::Error;
use crate::value::{Cell, Value};

/// Evaluates `node`.
pub(super) fn run(node: &Node, inputs: &dyn Inputs, fuel: &mut Fuel) -> Cell {
    Machine { inputs, fuel, locals: SmallVec::new() }.eval(node)
}

struct Machine<'a> {
    inputs: &'a dyn Inputs,
    fuel: &'a mut Fuel,
    /// The variables of the comprehensions around, innermost last.
    locals: SmallVec<[Value; 4]>,
}

impl Machine<'_> {
    fn eval(&mut self, node: &Node) -> Cell {
        match node {
            Node::Const(cell) => cell.clone(),
            Node::Input(id) => self.inputs.get(*id),
            Node::Local(n) => Ok(self.local(*n)),
            Node::Chain(chain) => self.chain(chain),
            Node::Logic(op, operands) => self.logic(*op, operands),
            Node::If(parts) => {
                let [condition, yes, no] = &**parts;
                let condition = ops::truth(&self.eval(condition)?)?;
                self.eval(if condition == Some(true) { yes } else { no })
            }
            Node::Call(callee, args) => self.call(*callee, args),
            Node::Unary(op, a) => ops::unary(*op, &self.eval(a)?),
            Node::Index(parts) => self.pair(parts, ops::index),
            Node::Has(parts) => self.pair(parts, ops::has),
            Node::Matches(regex, text) => self.matches(regex, text),
            Node::Coalesce(args) => self.coalesce(args),
            Node::List(items) => self.list(items),
            Node::Map(entries) => self.map(entries),
            Node::Loop(l) => self.comprehension(l),
        }
    }

    fn local(&self, n: u32) -> Value {
        // The checker numbers variables within their comprehensions; NULL stands for one that is not there.
        let at = self.locals.len().checked_sub(n as usize + 1);
        at.and_then(|at| self.locals.get(at)).cloned().unwrap_or(Value::Null)
    }

    /// An operand that is only looked at: a constant is lent.
    #[inline]
    fn operand<'n>(&mut self, node: &'n Node) -> Result<Operand<'n>, Error> {
        match node {
            Node::Const(Ok(value)) => Ok(Operand::Lent(value)),
            Node::Const(Err(e)) => Err(e.clone()),
            node => self.eval(node).map(Operand::Owned),
        }
    }

    fn chain(&mut self, chain: &Chain) -> Cell {
        let mut left = self.eval(&chain.first)?;
        for (op, right) in &chain.rest {
            let right = self.operand(right)?;
            if is_large(&left) || is_large(&right) {
                self.charge(*op, &left, &right)?;
            }
            left = ops::binary(*op, &left, &right)?;
        }
        Ok(left)
    }

    /// Spends what an operator on texts, lists or maps reads or produces.
    #[cold]
    fn charge(&mut self, op: BinaryOp, a: &Value, b: &Value) -> Result<(), Error> {
        match (op, a, b) {
            (BinaryOp::Add, Value::Text(a), Value::Text(b)) => self.fuel.bytes(a.len().saturating_add(b.len())),
            (BinaryOp::Add, ..) => {
                self.fuel.weigh(a)?;
                self.fuel.weigh(b)
            }
            (BinaryOp::In, _, Value::List(_)) => self.fuel.weigh(b),
            (_, Value::Text(a), Value::Text(b)) => self.fuel.bytes(a.len().min(b.len())),
            _ => self.fuel.weigh(a),
        }
    }

    fn logic(&mut self, op: Logic, operands: &[Node]) -> Cell {
        let decided = matches!(op, Logic::Or);
        let mut answer = Ok(Value::Bool(!decided));
        for operand in operands {
            let operand = self.eval(operand);
            answer = ops::logic(op, answer, operand);
            if matches!(answer, Ok(Value::Bool(b)) if b == decided) {
                break;
            }
        }
        answer
    }

    fn pair(&mut self, parts: &[Node; 2], op: fn(&Value, &Value) -> Cell) -> Cell {
        let (a, b) = (self.operand(&parts[0])?, self.operand(&parts[1])?);
        op(&a, &b)
    }

    fn call(&mut self, Callee(function): Callee, args: &[Node]) -> Cell {
        let mut values: SmallVec<[Value; 4]> = SmallVec::with_capacity(args.len());
        for arg in args {
            values.push(self.eval(arg)?);
        }
        if function.nulls == Nulls::Propagate && values.iter().any(Value::is_null) {
            return Ok(Value::Null);
        }
        (function.call)(&values, self.fuel)
    }

    fn matches(&mut self, regex: &Regex, text: &Node) -> Cell {
        match self.eval(text)? {
            Value::Null => Ok(Value::Null),
            Value::Text(text) => crate::functions::matches(regex, &text, self.fuel),
            other => Err(errors::no_overload(format!("matches wants text, not {}", ops::type_name(&other)))),
        }
    }

    fn coalesce(&mut self, args: &[Node]) -> Cell {
        for arg in args {
            let value = self.eval(arg)?;
            if !value.is_null() {
                return Ok(value);
            }
        }
        Ok(Value::Null)
    }

    fn list(&mut self, items: &[Node]) -> Cell {
        let mut list = Vec::with_capacity(items.len());
        for item in items {
            self.push(&mut list, item)?;
        }
        Ok(Value::List(list.into()))
    }

    fn push(&mut self, list: &mut Vec<Value>, item: &Node) -> Result<(), Error> {
        let value = self.eval(item)?;
        self.fuel.weigh(&value)?;
        list.push(value);
        Ok(())
    }

    fn map(&mut self, entries: &[(Node, Node)]) -> Cell {
        let mut map = BTreeMap::new();
        for (key, value) in entries {
            let (key, value) = (self.eval(key)?, self.eval(value)?);
            ops::check_key(&key)?;
            if ops::contains_key(&map, &key) {
                return Err(errors::bad_key(format!("the key {} is there twice", crate::json::display(&key))));
            }
            self.fuel.weigh(&key)?;
            self.fuel.weigh(&value)?;
            map.insert(key, value);
        }
        Ok(Value::Map(Arc::new(map)))
    }

    fn comprehension(&mut self, l: &Loop) -> Cell {
        match self.eval(&l.over)? {
            Value::Null => Ok(Value::Null),
            Value::List(items) => self.fold(l, items.iter()),
            Value::Map(map) => self.fold(l, map.keys()),
            other => Err(errors::no_overload(format!("{} has no elements", ops::type_name(&other)))),
        }
    }

    fn fold<'v>(&mut self, l: &Loop, items: impl Iterator<Item = &'v Value>) -> Cell {
        match l.kind {
            Comprehension::All => self.quantifier(l, items, Logic::And),
            Comprehension::Exists => self.quantifier(l, items, Logic::Or),
            Comprehension::ExistsOne => self.exists_one(l, items),
            Comprehension::Map => self.map_items(l, items),
            Comprehension::Filter => self.filter_items(l, items),
        }
    }

    /// Evaluates `body` with `item` as the innermost variable.
    fn with(&mut self, item: &Value, body: &Node) -> Cell {
        self.locals.push(item.clone());
        let answer = self.eval(body);
        self.locals.pop();
        answer
    }

    /// `all` is `&&` over the elements, `exists` is `||`: NULLs and errors as there.
    fn quantifier<'v>(&mut self, l: &Loop, items: impl Iterator<Item = &'v Value>, op: Logic) -> Cell {
        let decided = matches!(op, Logic::Or);
        let mut answer = Ok(Value::Bool(!decided));
        for item in items {
            self.fuel.spend(l.weight)?;
            let element = self.with(item, &l.body);
            answer = ops::logic(op, answer, element);
            if matches!(answer, Ok(Value::Bool(b)) if b == decided) {
                break;
            }
        }
        answer
    }

    fn exists_one<'v>(&mut self, l: &Loop, items: impl Iterator<Item = &'v Value>) -> Cell {
        let mut found = 0u64;
        for item in items {
            self.fuel.spend(l.weight)?;
            found += u64::from(ops::truth(&self.with(item, &l.body)?)? == Some(true));
        }
        Ok(Value::Bool(found == 1))
    }

    fn map_items<'v>(&mut self, l: &Loop, items: impl Iterator<Item = &'v Value>) -> Cell {
        let mut list = Vec::new();
        for item in items {
            self.fuel.spend(l.weight)?;
            if let Some(filter) = &l.filter
                && ops::truth(&self.with(item, filter)?)? != Some(true)
            {
                continue;
            }
            let value = self.with(item, &l.body)?;
            self.fuel.weigh(&value)?;
            list.push(value);
        }
        Ok(Value::List(list.into()))
    }

    fn filter_items<'v>(&mut self, l: &Loop, items: impl Iterator<Item = &'v Value>) -> Cell {
        let mut list = Vec::new();
        for item in items {
            self.fuel.spend(l.weight)?;
            if ops::truth(&self.with(item, &l.body)?)? == Some(true) {
                self.fuel.weigh(item)?;
                list.push(item.clone());
            }
        }
        Ok(Value::List(list.into()))
    }
}

/// A value, or a constant of the program.
enum Operand<'n> {
    Owned(Value),
    Lent(&'n Value),
}

impl std::ops::Deref for Operand<'_> {
    type Target = Value;

    #[inline]
    fn deref(&self) -> &Value {
        match self {
            Operand::Owned(value) => value,
            Operand::Lent(value) => value,
        }
    }
}

/// Whether an operator on it may cost more than a moment.
fn is_large(value: &Value) -> bool {
    matches!(value, Value::Text(_) | Value::Bytes(_) | Value::List(_) | Value::Map(_) | Value::Tensor(_))
}
