//! Definitions that are refused, and what is said about them; and what sound ones become.

use std::rc::Rc;

use expect_test::Expect;
use thalweg_formulas::check::{Binding, Scope, check, check_condition};
use thalweg_formulas::{InputId, Problem, Type, parse};

use crate::syntax::rendered;

mod aggregates;
mod cures;
mod equal;
mod limits;
mod names;
mod sound;
mod types;

/// A scope out of a table: names and what they are bound to.
struct Table {
    describe: &'static str,
    noun: &'static str,
    names: Vec<(&'static str, Binding)>,
}

impl Scope for Table {
    fn name(&self, name: &str) -> Option<Binding> {
        self.names.iter().find(|(known, _)| *known == name).map(|(_, binding)| binding.clone())
    }

    fn names(&self) -> Vec<String> {
        self.names.iter().map(|(name, _)| (*name).to_owned()).collect()
    }

    fn describe(&self) -> String {
        self.describe.to_owned()
    }

    fn noun(&self) -> &'static str {
        self.noun
    }
}

fn input(id: u32, ty: Type) -> Binding {
    Binding::Input { id: InputId(id), ty }
}

const MONEY: Type = Type::Decimal { precision: 10, scale: 2 };

/// An order of a shop: columns, the looked-up customer, child rows, JSON.
fn order() -> Table {
    let part = Table {
        describe: "table `Part`",
        noun: "column",
        names: vec![("weight", input(30, Type::Double)), ("name", input(31, Type::Text))],
    };
    let item = Table {
        describe: "table `Item`",
        noun: "column",
        names: vec![
            ("price", input(20, MONEY)),
            ("qty", input(21, Type::Int)),
            ("sku", input(22, Type::Text)),
            ("gift", input(23, Type::Bool)),
            ("tags", input(24, Type::List(Type::Text.into()))),
            ("parts", Binding::Children { relation: 8, scope: Rc::new(part) }),
        ],
    };
    let payment = Table { describe: "table `Payment`", noun: "column", names: vec![("amount", input(40, MONEY))] };
    let customer = Table {
        describe: "table `Customer`",
        noun: "field",
        names: vec![("region", input(10, Type::Text)), ("limit", input(11, Type::Double))],
    };
    let old = Table { describe: "table `Order`", noun: "column", names: vec![("status", input(0, Type::Text))] };
    Table {
        describe: "table `Order`",
        noun: "column",
        names: vec![
            ("status", input(0, Type::Text)),
            ("total", input(1, MONEY)),
            ("stock", input(2, Type::Uint)),
            ("priority", input(3, Type::Int)),
            ("done", input(4, Type::Bool)),
            ("created", input(5, Type::Timestamp)),
            ("lines", input(6, Type::Dyn)),
            ("type", input(7, Type::Text)),
            ("tags", input(8, Type::List(Type::Text.into()))),
            ("customer", Binding::Record { scope: Rc::new(customer), whole: None }),
            ("old", Binding::Record { scope: Rc::new(old), whole: Some(InputId(50)) }),
            ("items", Binding::Children { relation: 7, scope: Rc::new(item) }),
            ("payments", Binding::Children { relation: 9, scope: Rc::new(payment) }),
        ],
    }
}

/// What the inputs of [`order`] are called.
fn input_name(id: InputId) -> String {
    let names = [
        (0, "status"),
        (1, "total"),
        (2, "stock"),
        (3, "priority"),
        (4, "done"),
        (5, "created"),
        (6, "lines"),
        (7, "type"),
        (8, "tags"),
        (10, "customer.region"),
        (11, "customer.limit"),
        (20, "price"),
        (21, "qty"),
        (22, "sku"),
        (23, "gift"),
        (24, "item.tags"),
        (30, "weight"),
        (31, "part.name"),
        (40, "amount"),
        (50, "old"),
    ];
    names.iter().find(|(known, _)| *known == id.0).map_or("?", |(_, name)| name).to_owned()
}

fn problems(text: &str, condition: bool) -> Vec<Problem> {
    let ast = parse(text).expect(text);
    let result = if condition { check_condition(&ast, &order()) } else { check(&ast, &order()) };
    result.expect_err(text)
}

fn refused(text: &str, expected: Expect) {
    expected.assert_eq(&rendered(text, &problems(text, false)));
}

fn refused_as_condition(text: &str, expected: Expect) {
    expected.assert_eq(&rendered(text, &problems(text, true)));
}

fn becomes(text: &str, expected: Expect) {
    let ast = parse(text).expect(text);
    let shown = match check(&ast, &order()) {
        Ok(expr) => format!("{}\n  {}\n", expr.text(&input_name), expr.ty()),
        Err(problems) => rendered(text, &problems),
    };
    expected.assert_eq(&shown);
}
