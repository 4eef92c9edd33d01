//! Tracing: a Rust closure over `ctx` becomes a formula.
//!
//! `ctx.get("price")` gives a [`Traced`] value; arithmetic on it builds the formula. Rust's `==`, `<` and their sisters must return a
//! `bool`, so they cannot build anything: instead they consult a *decision script*. The closure runs once for every way its comparisons can turn
//! out, and the results are put together as `condition ? a : b`. At most [`PATHS_MAX`] ways; beyond that, say the choice with [`if_else`], which is traced
//! in one go.
//!
//! The closure must do the same thing each time it is run: it is run at definition time only, never on data.
//!
//! Source: the idea of running a function on abstract values is that of J. Bradbury et al., JAX (2018); of forcing booleans along all paths, that of
//! concolic execution (P. Godefroid, N. Klarlund, K. Sen 2005, "DART").

use std::cell::RefCell;
use std::cmp::Ordering;
use std::ops;

use thalweg_formulas::ast::{Ast, AstKind, BinaryOp, UnaryOp};
use thalweg_formulas::{Problem, Value, parse};

/// Paths through the comparisons of one closure.
pub const PATHS_MAX: usize = 64;

/// What a traced closure reads from.
#[derive(Debug)]
pub struct Ctx(());

impl Ctx {
    /// A field, column or path as a formula would name it: `"price"`, `"Order.total"`, `"customer.region"`.
    pub fn get(&self, path: &str) -> Traced {
        match parse(path) {
            Ok(ast) => Traced(ast),
            Err(problems) => {
                with_script(|script| script.problems.extend(problems));
                Traced(Ast::literal(Value::Null))
            }
        }
    }

    /// The same as [`Ctx::get`].
    pub fn get_field(&self, path: &str) -> Traced {
        self.get(path)
    }
}

/// A value that is not known yet: a formula under construction.
#[derive(Clone, Debug)]
pub struct Traced(pub(crate) Ast);

impl Traced {
    /// A formula of its own text.
    ///
    /// # Errors
    /// The text is not a formula.
    pub fn formula(text: &str) -> Result<Traced, Vec<Problem>> {
        parse(text).map(Traced)
    }

    /// A function of the formula language with this value as its first argument: `ctx.get("name").call("lower", [])`.
    pub fn call<const N: usize>(self, function: &str, args: [Traced; N]) -> Traced {
        let args = std::iter::once(self.0).chain(args.into_iter().map(|a| a.0)).collect();
        Traced(Ast::call(function, args))
    }

    /// `==` as a value, not as a decision.
    pub fn equals(self, other: impl Into<Traced>) -> Traced {
        self.binary(BinaryOp::Eq, other.into())
    }

    /// `<` as a value.
    pub fn less_than(self, other: impl Into<Traced>) -> Traced {
        self.binary(BinaryOp::Lt, other.into())
    }

    /// `>` as a value.
    pub fn greater_than(self, other: impl Into<Traced>) -> Traced {
        self.binary(BinaryOp::Gt, other.into())
    }

    /// `&&` as a value.
    pub fn and(self, other: impl Into<Traced>) -> Traced {
        self.binary(BinaryOp::And, other.into())
    }

    /// `||` as a value.
    pub fn or(self, other: impl Into<Traced>) -> Traced {
        self.binary(BinaryOp::Or, other.into())
    }

    fn binary(self, op: BinaryOp, other: Traced) -> Traced {
        Traced(Ast::binary(op, self.0, other.0))
    }

    fn decide(&self, op: BinaryOp, other: Traced) -> bool {
        with_script(|script| script.decide(Ast::binary(op, self.0.clone(), other.0)))
    }
}

/// `condition ? a : b`, in one go: no further path.
pub fn if_else(condition: impl Into<Traced>, a: impl Into<Traced>, b: impl Into<Traced>) -> Traced {
    Traced(ternary(condition.into().0, a.into().0, b.into().0))
}

impl<T: Into<Value>> From<T> for Traced {
    fn from(value: T) -> Self {
        Traced(Ast::literal(value))
    }
}

macro_rules! operator {
    ($trait:ident, $method:ident, $op:expr, $($left:ty),*) => {
        impl<T: Into<Traced>> ops::$trait<T> for Traced {
            type Output = Traced;
            fn $method(self, other: T) -> Traced {
                self.binary($op, other.into())
            }
        }
        $(impl ops::$trait<Traced> for $left {
            type Output = Traced;
            fn $method(self, other: Traced) -> Traced {
                Traced::from(self).binary($op, other)
            }
        })*
    };
}

operator!(Add, add, BinaryOp::Add, i64, i32, f64, &str);
operator!(Sub, sub, BinaryOp::Sub, i64, i32, f64);
operator!(Mul, mul, BinaryOp::Mul, i64, i32, f64);
operator!(Div, div, BinaryOp::Div, i64, i32, f64);
operator!(Rem, rem, BinaryOp::Rem, i64, i32);

impl ops::Neg for Traced {
    type Output = Traced;
    fn neg(self) -> Traced {
        Traced(Ast::unary(UnaryOp::Neg, self.0))
    }
}

impl ops::Not for Traced {
    type Output = Traced;
    fn not(self) -> Traced {
        Traced(Ast::unary(UnaryOp::Not, self.0))
    }
}

impl<T: Into<Traced> + Clone> PartialEq<T> for Traced {
    fn eq(&self, other: &T) -> bool {
        self.decide(BinaryOp::Eq, other.clone().into())
    }

    #[expect(clippy::partialeq_ne_impl, reason = "`!=` is traced as itself, not as the negation of `==`")]
    fn ne(&self, other: &T) -> bool {
        self.decide(BinaryOp::Ne, other.clone().into())
    }
}

impl<T: Into<Traced> + Clone> PartialOrd<T> for Traced {
    fn partial_cmp(&self, other: &T) -> Option<Ordering> {
        if self.lt(other) {
            Some(Ordering::Less)
        } else if self.gt(other) {
            Some(Ordering::Greater)
        } else {
            Some(Ordering::Equal)
        }
    }

    fn lt(&self, other: &T) -> bool {
        self.decide(BinaryOp::Lt, other.clone().into())
    }

    fn le(&self, other: &T) -> bool {
        self.decide(BinaryOp::Le, other.clone().into())
    }

    fn gt(&self, other: &T) -> bool {
        self.decide(BinaryOp::Gt, other.clone().into())
    }

    fn ge(&self, other: &T) -> bool {
        self.decide(BinaryOp::Ge, other.clone().into())
    }
}

/// Runs `closure` along all its paths and puts the results together.
///
/// # Errors
/// A path that is no formula, or more than [`PATHS_MAX`] ways through the comparisons.
pub(crate) fn trace(closure: impl Fn(&Ctx) -> Traced) -> Result<Ast, Vec<Problem>> {
    let mut paths = 0;
    explore(&closure, &[], &mut paths)
}

/// The formula of every run whose decisions begin with `prefix`.
fn explore(closure: &impl Fn(&Ctx) -> Traced, prefix: &[bool], paths: &mut usize) -> Result<Ast, Vec<Problem>> {
    let (result, asked) = run(closure, prefix)?;
    let Some(condition) = asked.get(prefix.len()) else {
        *paths += 1;
        return if *paths <= PATHS_MAX { Ok(result) } else { Err(vec![too_many_paths()]) };
    };
    let yes = explore(closure, &[prefix, &[true]].concat(), paths)?;
    let no = explore(closure, &[prefix, &[false]].concat(), paths)?;
    Ok(ternary(condition.clone(), yes, no))
}

fn run(closure: &impl Fn(&Ctx) -> Traced, prefix: &[bool]) -> Result<(Ast, Vec<Ast>), Vec<Problem>> {
    let before = SCRIPT.replace(Some(Script { decisions: prefix.to_vec(), asked: Vec::new(), problems: Vec::new() }));
    let result = closure(&Ctx(()));
    let script = SCRIPT.replace(before).expect("invariant: the script is there while its closure runs");
    if script.problems.is_empty() { Ok((result.0, script.asked)) } else { Err(script.problems) }
}

/// `c ? a : b`; a choice between `true` and `false` is the condition itself.
fn ternary(condition: Ast, yes: Ast, no: Ast) -> Ast {
    let is = |ast: &Ast, b: bool| ast.kind == AstKind::Literal(Value::Bool(b));
    if is(&yes, true) && is(&no, false) {
        return condition;
    }
    Ast::of(AstKind::Ternary(Box::new(condition), Box::new(yes), Box::new(no)))
}

fn too_many_paths() -> Problem {
    Problem::new(240, format!("the closure has more than {PATHS_MAX} ways through its comparisons"))
        .help("say the choice with `if_else(condition, a, b)`, which is traced in one go")
}

thread_local! {
    static SCRIPT: RefCell<Option<Script>> = const { RefCell::new(None) };
}

/// What the comparisons of one run answer, and what they asked.
struct Script {
    decisions: Vec<bool>,
    asked: Vec<Ast>,
    problems: Vec<Problem>,
}

impl Script {
    fn decide(&mut self, condition: Ast) -> bool {
        let decision = self.decisions.get(self.asked.len()).copied().unwrap_or(false);
        self.asked.push(condition);
        decision
    }
}

fn with_script<R>(f: impl FnOnce(&mut Script) -> R) -> R {
    SCRIPT.with_borrow_mut(|script| f(script.as_mut().expect("a traced value is compared inside its closure only")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn traced<R: Into<Traced>>(closure: impl Fn(&Ctx) -> R) -> String {
        match trace(|ctx| closure(ctx).into()) {
            Ok(ast) => ast.to_string(),
            Err(problems) => problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
        }
    }

    #[test]
    fn a_closure_becomes_the_formula_it_computes() {
        assert_eq!(traced(|ctx| ctx.get("Revenue") - ctx.get("Costs")), "Revenue - Costs");
        assert_eq!(traced(|ctx| 2.0 * ctx.get("price") + 1), "2.0 * price + 1");
        assert_eq!(traced(|ctx| (ctx.get("a") + ctx.get("b")) * -ctx.get("c")), "(a + b) * -c");
        assert_eq!(traced(|ctx| ctx.get("name").call("startsWith", ["x".into()])), "startsWith(name, 'x')");
        assert_eq!(traced(|ctx| ctx.get_field("Stream.complete") == Value::Bool(true)), "Stream.complete == true");
    }

    #[test]
    fn a_branch_is_taken_both_ways() {
        let tier = |ctx: &Ctx| if ctx.get("total") > 1000 { Traced::from("gold") } else { Traced::from("std") };
        assert_eq!(traced(tier), "total > 1000 ? 'gold' : 'std'");
        assert_eq!(traced(|ctx| ctx.get("a") > 1 && ctx.get("b") != 2), "a > 1 ? b != 2 : false");
        assert_eq!(traced(|ctx| if_else(ctx.get("a").greater_than(1), 2, 3)), "a > 1 ? 2 : 3");
    }

    #[test]
    fn too_many_ways_are_refused_with_the_cure() {
        let many = |ctx: &Ctx| (0..7).map(|i| if ctx.get("a") > i { 1 } else { 0 }).sum::<i32>();
        assert_eq!(traced(many), "E0240: the closure has more than 64 ways through its comparisons");
    }

    #[test]
    fn a_path_that_is_no_formula_is_refused() {
        assert!(traced(|ctx| ctx.get("items[")).starts_with("E01"));
    }
}
