//! Definitions that are refused, and what is said about them; and what sound ones become.

use std::rc::Rc;

use expect_test::{Expect, expect};
use thalweg_formulas::ast::{AstKind, UnaryOp};
use thalweg_formulas::check::{Binding, Scope, check, check_condition};
use thalweg_formulas::{Ast, InputId, Problem, Type, parse};

use crate::syntax::rendered;

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

#[test]
fn unknown_names_are_refused_with_the_nearest() {
    refused(
        "old.staus != status",
        expect![[r#"
        E0203: unknown field `staus`
          at «staus»: table `Order` has no column `staus`
          help: did you mean `status`?
          note: columns: status
    "#]],
    );
    refused(
        "staus == 'open' && prioritty <= 1",
        expect![[r#"
        E0203: unknown field `staus`
          at «staus»: table `Order` has no column `staus`
          help: did you mean `status`?
          note: columns: status, total, stock, priority, done, created, lines, type, tags, customer, old, items, … (13 in all)
        E0203: unknown field `prioritty`
          at «prioritty»: table `Order` has no column `prioritty`
          help: did you mean `priority`?
          note: columns: status, total, stock, priority, done, created, lines, type, tags, customer, old, items, … (13 in all)
    "#]],
    );
    refused(
        "customer.regoin",
        expect![[r#"
        E0203: unknown field `regoin`
          at «regoin»: table `Customer` has no field `regoin`
          help: did you mean `region`?
          note: fields: region, limit
    "#]],
    );
    refused(
        "sum(items[*].prize)",
        expect![[r#"
        E0203: unknown field `prize`
          at «prize»: table `Item` has no column `prize`
          help: did you mean `price`?
          note: columns: price, qty, sku, gift, tags, parts
    "#]],
    );
    refused(
        "xyzzy + 1",
        expect![[r#"
        E0203: unknown field `xyzzy`
          at «xyzzy»: table `Order` has no column `xyzzy`
          note: columns: status, total, stock, priority, done, created, lines, type, tags, customer, old, items, … (13 in all)
    "#]],
    );
    refused(
        "NULL == status",
        expect![[r#"
        E0203: unknown field `NULL`
          at «NULL»: table `Order` has no column `NULL`
          help: write `null`
          note: columns: status, total, stock, priority, done, created, lines, type, tags, customer, old, items, … (13 in all)
    "#]],
    );
    refused(
        "size > 3",
        expect![[r#"
        E0203: unknown field `size`
          at «size»: table `Order` has no column `size`
          help: `size` is a function: write `size(…)`
          note: columns: status, total, stock, priority, done, created, lines, type, tags, customer, old, items, … (13 in all)
    "#]],
    );
    refused(
        "lenght(status)",
        expect![[r#"
        E0204: unknown function `lenght`
          at «lenght»: no function is called so
    "#]],
    );
    refused(
        "status.startWith('a')",
        expect![[r#"
        E0204: unknown function `startWith`
          at «startWith»: no function is called so
          help: did you mean `startsWith`?
    "#]],
    );
    refused(
        "not(done)",
        expect![[r#"
        E0204: unknown function `not`
          at «not»: no function is called so
          help: write `!x`
    "#]],
    );
    refused(
        "len(status)",
        expect![[r#"
        E0204: unknown function `len`
          at «len»: no function is called so
          help: write `size(x)`
    "#]],
    );
    refused(
        "tags.filtr(t, t == 'x')",
        expect![[r#"
        E0204: unknown function `filtr`
          at «filtr»: no function is called so
          help: did you mean `filter`?
    "#]],
    );
}

#[test]
fn types_that_do_not_fit_are_refused_at_the_operator() {
    refused(
        "status + priority",
        expect![[r#"
        E0206: `+` cannot take text and int
          at «+»: text + int has no meaning
          help: write `status + string(priority)`
    "#]],
    );
    refused(
        "(status == 'open') && total",
        expect![[r#"
        E0206: `&&` cannot take bool and decimal(10,2)
          at «&&»: && wants bools, not decimal(10,2)
    "#]],
    );
    refused(
        "priority == 'high'",
        expect![[r#"
        E0206: `==` cannot take int and text
          at «==»: int and text are never equal
    "#]],
    );
    refused(
        "status == 1",
        expect![[r#"
        E0206: `==` cannot take text and int
          at «==»: text and int are never equal
          help: write it as text: `'1'`
    "#]],
    );
    refused(
        "done == 1",
        expect![[r#"
        E0206: `==` cannot take bool and int
          at «==»: bool and int are never equal
          help: a bool is compared with `true` and `false`, or stands alone
    "#]],
    );
    refused(
        "0 < priority < 5",
        expect![[r#"
        E0206: `<` cannot take bool and int
          at «<»: bool and int have no order
          help: write `0 < priority && priority < 5`
    "#]],
    );
    refused(
        "created > '2024-01-01'",
        expect![[r#"
        E0206: `>` cannot take timestamp and text
          at «>»: timestamp and text have no order
          help: write `timestamp('2024-01-01')`
    "#]],
    );
    refused(
        "'urgent' in status",
        expect![[r#"
        E0206: `in` cannot take text and text
          at «in»: in looks into a list or a map, not into text
          help: for a part of a text write `status.contains('urgent')`
    "#]],
    );
    refused(
        "stock - priority",
        expect![[r#"
        E0206: `-` cannot take uint and int
          at «-»: uint - int has no meaning: convert one with int() or uint()
    "#]],
    );
    refused(
        "-status + !priority",
        expect![[r#"
        E0206: `-` cannot take text
          at «-»: - wants a number or a duration, not text
        E0206: `!` cannot take int
          at «!»: ! wants a bool, not int
    "#]],
    );
    refused(
        "done ? 'yes' : 0",
        expect![[r#"
        E0212: the branches of `? :` have different types: text and int
          at «?»: a field has one type
          help: convert the other one with string(), or take null for no value
    "#]],
    );
    refused(
        "priority ? 1 : 2",
        expect![[r#"
        E0213: a condition must be a bool, and this is int
          at «priority»: this is int
          help: compare it: `priority != 0`
    "#]],
    );
    refused(
        "priority.name",
        expect![[r#"
        E0214: int has no members
          at «name»: `priority` is int, not a record
    "#]],
    );
    refused(
        "tags.name",
        expect![[r#"
        E0214: list(text) has no members
          at «name»: `tags` is list(text), not a record
          help: aggregate over its elements: `sum(tags[*].name)`, or take one: `tags[0].name`
    "#]],
    );
    refused(
        "status[0]",
        expect![[r#"
        E0214: text cannot be indexed by int
          at «[0]»: text has no elements
          help: write `text.substring(from, to)`
    "#]],
    );
    refused(
        "status.startsWith(priority)",
        expect![[r#"
        E0207: `startsWith` cannot take text and int
          at «priority»: argument 1 must be text, not int
    "#]],
    );
    refused(
        "priority.startsWith('a')",
        expect![[r#"
        E0207: `startsWith` cannot take int and text
          at «priority»: the receiver must be text, not int
    "#]],
    );
    refused(
        "size()",
        expect![[r#"
        E0205: `size` takes 1 argument, and 0 are given
          at «size»: called with 0
          note: `size`: how many characters, bytes, elements or entries
    "#]],
    );
    refused(
        "status.contains('a', 'b')",
        expect![[r#"
        E0205: `contains` takes 1 argument besides its receiver, and 2 are given
          at «contains»: called with 2
          note: `contains`: whether the text holds the other
    "#]],
    );
    refused(
        "{total: 1}",
        expect![[r#"
        E0215: a map key cannot be decimal(10,2)
          at «total»: keys are bools, ints, uints or texts
          help: write `string(total)`
    "#]],
    );
    refused_as_condition(
        "priority",
        expect![[r#"
        E0213: a condition must be a bool, and this is int
          at «priority»: this is int
          help: compare it: `priority != 0`
    "#]],
    );
    refused_as_condition(
        "status + 'x'",
        expect![[r#"
        E0213: a condition must be a bool, and this is text
          at «status + 'x'»: this is text
          help: compare it: `(status + 'x') != ''`
    "#]],
    );
    refused_as_condition(
        "null",
        expect![[r#"
        E0213: a condition must be a bool, and this is null
          at «null»: this is null
          help: write `true` or `false`
    "#]],
    );
}

#[test]
fn misplaced_records_patterns_and_macros_are_refused_with_a_cure() {
    refused(
        "customer == null",
        expect![[r#"
        E0210: `customer` is a record, not a value
          at «customer»: a value is needed here
          help: name one of its fields: `customer.region`
          note: fields: region, limit
    "#]],
    );
    refused(
        "items",
        expect![[r#"
        E0210: `items` is child rows, not a value
          at «items»: a value is needed here
          help: aggregate them: `count(items[*])`, or sum, avg, min, max of a column: `max(items[*].price)`
    "#]],
    );
    refused(
        "items.price",
        expect![[r#"
        E0210: `items` is child rows, so `items.price` is not one value
          at «price»: of which row?
          help: aggregate over all of them: `sum(items[*].price)`, or count, avg, min, max
    "#]],
    );
    refused(
        "items[0]",
        expect![[r#"
        E0210: `items` is child rows, not a value
          at «items»: a value is needed here
          help: aggregate them: `count(items[*])`, or sum, avg, min, max of a column: `max(items[*].price)`
    "#]],
    );
    refused(
        "items[*].price + 1",
        expect![[r#"
        E0208: the pattern `items[*]` stands outside an aggregate
          at «items[*]»: this is many values
          help: aggregate it: `sum(items[*]…)`, or count, avg, min, max
    "#]],
    );
    refused(
        "size(items[*])",
        expect![[r#"
        E0208: the pattern `items[*]` stands outside an aggregate
          at «items[*]»: this is many values
          help: aggregate it: `sum(items[*]…)`, or count, avg, min, max
    "#]],
    );
    refused(
        "customer[*].region",
        expect![[r#"
        E0208: `customer` is one record, so it has no elements for `[*]`
          at «customer»: this is one record
          help: write `customer.…` without `[*]`
    "#]],
    );
    refused(
        "sum(customer[*].limit)",
        expect![[r#"
        E0208: `customer` is one record, so it has no elements for `[*]`
          at «customer»: this is one record
          help: write `customer.…` without `[*]`
    "#]],
    );
    refused(
        "sum(priority[*])",
        expect![[r#"
        E0208: `[*]` needs child rows or a list, and `priority` is int
          at «priority»: this is int
    "#]],
    );
    refused(
        "sum(items[*])",
        expect![[r#"
        E0208: `sum` needs a value of each row, and `items[*]` is the rows
          at «items[*]»: these are rows
          help: name a column: `sum(items[*].price)`, or count them: `count(items[*])`
          note: columns: price, qty, sku, gift, tags, parts
    "#]],
    );
    refused(
        "sum(items[*].price * payments[*].amount)",
        expect![[r#"
        E0209: one aggregate follows both `items[*]` and `payments[*]`
          at «payments[*]»: another relation
          help: aggregate each on its own: `sum(items[*]…) * sum(payments[*]…)`
    "#]],
    );
    refused(
        "sum(items[*].sku) + max(items[*].tags) + sum(items[*].gift)",
        expect![[r#"
        E0216: `sum` cannot aggregate text
          at «sum»: text has no sum
          help: convert it: `sum(decimal(items[*].sku))`
        E0216: `max` cannot aggregate list(text)
          at «max»: list(text) has no order
        E0216: `sum` cannot aggregate bool
          at «sum»: bool has no sum
          help: count what is true: `sum(items[*].gift ? 1 : 0)`
    "#]],
    );
    refused(
        "max(items[*].price, 0)",
        expect![[r#"
        E0208: the aggregate `max` takes one argument, which holds its patterns
          at «max»: `items[*]` is many values
          help: aggregate first, then go on with the value: `max(max(items[*]…), other)`
    "#]],
    );
    refused(
        "sum(items[*].parts)",
        expect![[r#"
        E0210: `items[*].parts` is child rows, not a value
          at «items[*].parts»: a value is needed here
          help: aggregate them: `count(items[*].parts[*])`, or sum, avg, min, max of a column: `max(items[*].parts[*].weight)`
    "#]],
    );
    refused(
        "sum(items[*].tags[*])",
        expect![[r#"
        E0208: `items[*].tags` is a list, and this aggregate follows child rows
          at «items[*].tags[*]»: a list has no rows
          help: make a field of `sum(items[*].tags[*]…)` on the type that holds the list, and aggregate that field
    "#]],
    );
    refused(
        "sum(lines[*].parts[*].weight)",
        expect![[r#"
        E0208: the pattern `lines[*].parts[*]` goes through a list inside a list
          at «lines[*].parts[*]»: a pattern follows one list
          help: aggregate the inner list in a macro: `sum(outer.map(x, sum(x.inner[*].price)))`
    "#]],
    );
    refused(
        "sum(lines[*].price * tags[*].size())",
        expect![[r#"
        E0209: `tags[*]` is not the list that the first pattern of this aggregate follows
          at «tags[*]»: another list
          help: aggregate each on its own
    "#]],
    );
    refused(
        "tags.map(t, sum(items[*].qty * t.size()))",
        expect![[r#"
        E0208: an aggregate over child rows cannot read the variable of a macro
          at «sum(items[*].qty * t.size())»: this is kept up to date once for the document, not for every element
          help: aggregate first, and use the variable outside the aggregate
    "#]],
    );
    refused(
        "items.exists(i, i.price > 3)",
        expect![[r#"
        E0211: `exists` goes over a list, and `items` is child rows
          at «items»: these are rows of another table
          help: write `max(items[*].field > 0)` or `sum(items[*].field > 0 ? 1 : 0) > 0`
    "#]],
    );
    refused(
        "has(status)",
        expect![[r#"
        E0211: `has` asks whether a map holds a member, and `has(status)` names none
          at «status»: not a member
          help: write `has(record.member)`; whether a value is there at all is `x != null`
    "#]],
    );
    refused(
        "tags.all(t.x, true)",
        expect![[r#"
        E0211: the first argument of `all` is the name for each element
          at «t.x»: not a plain name
          help: write `list.all(x, …)`
    "#]],
    );
    refused(
        "tags.exists(t)",
        expect![[r#"
        E0211: the macro `exists` does not take 1 argument
          at «exists»: called with 1
          help: write `list.exists(x, condition)`
    "#]],
    );
    refused(
        "priority.map(x, x)",
        expect![[r#"
        E0211: `map` goes over a list or the keys of a map, and `priority` is int
          at «priority»: this is int
    "#]],
    );
    refused(
        "customer[status]",
        expect![[r#"
        E0210: the field of `customer` must be a constant
          at «status»: a text in quotes is needed here
          help: write `customer['name']` or `customer.name`
    "#]],
    );
}

#[test]
fn sound_formulas_become_typed_expressions() {
    becomes(
        "total * 2",
        expect![[r#"
        total * 2
          decimal(29,2)
    "#]],
    );
    becomes(
        "stock > 0 ? stock - 1 : 0",
        expect![[r#"
        stock > 0 ? stock - 1u : 0u
          uint
    "#]],
    );
    becomes(
        "done ? 1.5 : priority",
        expect![[r#"
        done ? 1.5 : double(priority)
          double
    "#]],
    );
    becomes(
        "done ? total : 0",
        expect![[r#"
        done ? total : decimal('0.00')
          decimal(10,2)
    "#]],
    );
    becomes(
        "type == 'decision' && priority <= 1",
        expect![[r#"
        type == 'decision' && priority <= 1
          bool
    "#]],
    );
    becomes(
        "customer['region'] + customer.region",
        expect![[r#"
        customer.region + customer.region
          text
    "#]],
    );
    becomes(
        "old['status'] != status && old != null",
        expect![[r#"
        status != status && old != null
          bool
    "#]],
    );
    becomes(
        "has(customer.region) || has(lines.a)",
        expect![[r#"
        customer.region != null || has(lines.a)
          bool
    "#]],
    );
    becomes(
        "lines[0].price + lines['x']",
        expect![[r#"
        lines[0].price + lines.x
          dyn
    "#]],
    );
    becomes(
        "sum(items[*].price * items[*].qty)",
        expect![[r#"
        sum(each 7: price * qty)
          decimal(76,2)
    "#]],
    );
    becomes(
        "count(items[*]) + count(items[*].sku)",
        expect![[r#"
        count(each 7: true) + count(each 7: sku)
          int
    "#]],
    );
    becomes(
        "items[*].price.avg() > max(items[*].price * priority)",
        expect![[r#"
        avg(each 7: price) > max(each 7: price * priority)
          bool
    "#]],
    );
    becomes(
        "sum(items[*].parts[*].weight * items[*].qty)",
        expect![[r#"
        sum(each 8: weight * qty)
          double
    "#]],
    );
    becomes(
        "sum(items[*].price / count(payments[*]))",
        expect![[r#"
        sum(each 7: price / count(each 9: true))
          decimal(76,6)
    "#]],
    );
    becomes(
        "sum(lines[*].price * lines[*].qty)",
        expect![[r#"
        sum(lines.map(e, e.price * e.qty))
          dyn
    "#]],
    );
    becomes(
        "count(tags[*])",
        expect![[r#"
        count(tags)
          int
    "#]],
    );
    becomes(
        "tags.map(t, sum(lines[*].price * t.size()))",
        expect![[r#"
        tags.map(e, sum(lines.map(e2, e2.price * size(e))))
          list(dyn)
    "#]],
    );
    becomes(
        "tags.filter(x, tags.exists(y, y == x)).map(x, x != '', x + status)",
        expect![[r#"
        tags.filter(e, tags.exists(e2, e2 == e)).map(e, e != '', e + status)
          list(text)
    "#]],
    );
    becomes(
        "items[*].gift.max()",
        expect![[r#"
        max(each 7: gift)
          bool
    "#]],
    );
    becomes(
        "-(1) - -1 + [1, 2.5][0]",
        expect![[r#"
        -(1) - -1 + [1, 2.5][0]
          dyn
    "#]],
    );
    becomes(
        "tags.map(type, type)",
        expect![[r#"
        tags.map(e, e)
          list(text)
    "#]],
    );
}

#[test]
fn aggregates_of_several_arguments_become_one_node_or_a_list_function() {
    becomes(
        "last(items[*].price, 3) == [] || items[*].gift.all()",
        expect![[r#"
        last(each 7: price, 3) == [] || all(each 7: gift)
          bool
    "#]],
    );
    becomes(
        "top(items[*].sku, 2, items[*].price).size() + count_distinct(items[*].price)",
        expect![[r#"
        size(top(each 7: sku, 2, price)) + count_distinct(each 7: price)
          int
    "#]],
    );
    becomes(
        "corr(items[*].parts[*].weight, items[*].qty) + quantile(items[*].price, 0.95)",
        expect![[r#"
        corr(each 8: weight, qty) + quantile(each 7: price, 0.95)
          double
    "#]],
    );
    becomes(
        "window_avg(lines[*].price, 30, lines[*].at) + first(lines[*].price)",
        expect![[r#"
        window_avg(lines.map(e, e.price), 30, lines.map(e, e.at)) + first(lines.map(e, e.price != null, e.price))
          dyn
    "#]],
    );
    becomes(
        "string_agg(tags[*], ', ')",
        expect![[r#"
        string_agg(tags, ', ')
          text
    "#]],
    );
    becomes(
        "median(payments[*].amount)",
        expect![[r#"
        median(each 9: amount)
          decimal(76,6)
    "#]],
    );
}

#[test]
fn arguments_that_an_aggregate_does_not_take_are_refused() {
    refused(
        "top(items[*].price, 2)",
        expect![[r#"
        E0208: the aggregate `top` is written `top(value, n, by)`
          at «top»: `items[*]` is many values
    "#]],
    );
    refused(
        "window_avg(items[*].price, priority)",
        expect![[r#"
        E0217: `priority` is not a parameter of `window_avg`
          at «priority»: how many must be an int from 1 to 1000000
          help: write `window_avg(value, n[, by])`, with a literal
    "#]],
    );
    refused(
        "last(items[*].price, 0)",
        expect![[r#"
        E0217: `0` is not a parameter of `last`
          at «0»: how many must be an int from 1 to 1000000
          help: write `last(value[, n][, by])`, with a literal
    "#]],
    );
    refused(
        "quantile(items[*].price, 95)",
        expect![[r#"
        E0217: `95` is not a parameter of `quantile`
          at «95»: the share must be a number from 0 to 1, of at most 18 digits
          help: write `quantile(value, share)`, with a literal
    "#]],
    );
    refused(
        "any(items[*].qty) && corr(items[*].qty, items[*].sku) > 0",
        expect![[r#"
        E0216: `any` cannot aggregate int
          at «any»: int is neither true nor false
          help: compare it: `any(items[*].qty != null)`
        E0216: `corr` cannot aggregate text
          at «corr»: text has no variance
          help: convert it: `corr(decimal(items[*].sku))`
    "#]],
    );
    refused(
        "string_agg(items[*].qty, ',')",
        expect![[r#"
        E0216: `string_agg` cannot aggregate int
          at «string_agg»: int is not text
          help: convert it: `string(items[*].qty)`
    "#]],
    );
    refused(
        "last(items[*].price, items[*].tags)",
        expect![[r#"
        E0216: `last` cannot order rows by list(text)
          at «items[*].tags»: list(text) has no order
          help: name a number, a text or a time of each row
    "#]],
    );
    refused(
        "last(items[*].price, payments[*].amount)",
        expect![[r#"
        E0209: one aggregate follows both `items[*]` and `payments[*]`
          at «payments[*]»: another relation
          help: aggregate each on its own: `last(items[*]…) * last(payments[*]…)`
    "#]],
    );
}

#[test]
fn equal_texts_become_equal_expressions() {
    let checked = |text: &str| check(&parse(text).unwrap(), &order()).unwrap();
    assert_eq!(checked("(total)+1"), checked("total + 1"));
    assert_eq!(checked("tags.map(a, a)"), checked("tags.map(b, b)"));
    assert_ne!(checked("total + 1"), checked("1 + total"));
}

#[test]
fn a_tree_too_deep_for_any_text_is_refused() {
    let deep = (0..100_000).fold(Ast::ident("done"), |ast, _| Ast::unary(UnaryOp::Not, ast));
    let problems = check(&deep, &order()).unwrap_err();
    expect!["E0107: the formula is nested too deeply: 200 levels are allowed"].assert_eq(&problems[0].to_string());
    // Taken apart by hand: dropping it would recurse as deep.
    let mut rest = deep;
    while let AstKind::Unary(_, inner) = rest.kind {
        rest = *inner;
    }
}

#[test]
fn checking_costs_no_more_than_the_text_warrants() {
    let mut nested = "[1]".to_owned();
    for _ in 0..40 {
        nested = format!("[sum({nested}[*])]");
    }
    for (text, expected) in [
        ("sum(".repeat(190) + "1" + &")".repeat(190), expect!["1 problems, first E0207: `sum` cannot take int"]),
        (nested, expect!["1 problems, first E0107: the formula is too complex to check"]),
        ("nowhere + ".repeat(199) + "1", expect!["20 problems, first E0203: unknown field `nowhere`"]),
        (format!("[{}]", "a == b, ".repeat(8_000)), expect!["20 problems, first E0203: unknown field `a`"]),
    ] {
        let problems = check(&parse(&text).unwrap(), &order()).unwrap_err();
        expected.assert_eq(&format!("{} problems, first {}", problems.len(), problems[0]));
    }
}

#[test]
fn the_deepest_formula_of_every_kind_checks_within_the_stack_of_a_thread() {
    for text in [
        "(".repeat(199) + "done" + &")".repeat(199),
        "!".repeat(198) + "done",
        "[".repeat(198) + "1" + &"]".repeat(198),
        "priority + ".repeat(199) + "1",
        "done ? 1 : ".repeat(190) + "2",
        "abs(".repeat(190) + "1" + &")".repeat(190),
        "lines".to_owned() + &".a".repeat(198),
        "lines".to_owned() + &"[0]".repeat(198),
        "[1]".to_owned() + &".map(x, [x])".repeat(190),
        "[1].map(x, ".repeat(95) + "x" + &")".repeat(95),
        "sum(items[*].qty * ".repeat(60) + "1" + &")".repeat(60),
    ] {
        let ast = parse(&text).unwrap_or_else(|p| panic!("{text}: {p:?}"));
        let expr = check(&ast, &order()).unwrap_or_else(|p| panic!("{text}: {p:?}"));
        expr.text(&input_name);
    }
}
