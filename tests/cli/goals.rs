//! `[[goal]]`: prices that move as rows change, the same bytes for any number of workers and any batch.

use expect_test::expect;

use super::harness::Folder;

const SHOP: &str = r#"
[[table]]
name = "Product"
key = ["id"]
columns = { id = "int", cost = "double", a = "double" }

[fields]
"Product.demand" = "1000.0 * exp(-a * price)"
"Product.profit" = "demand * (price - cost)"
"Product.dear" = "price > 28.0"

[[effect]]
name = "dear"
when = "Product.dear"
payload = ["id"]

[[goal]]
name = "profit"
maximize = "sum(Product[*].profit)"
variables = { "Product.price" = { min = 5.0, max = 100.0, init = 20.0 } }
optimizer = { kind = "adam", lr = 0.5 }
online = true
steps = 3
"#;

const CHANGES: &str = r#"{"tx":"1","changes":[{"table":"Product","op":"insert","after":{"id":1,"cost":6.0,"a":0.05}}]}
{"tx":"2","changes":[{"table":"Product","op":"insert","after":{"id":2,"cost":9.0,"a":0.05}}]}

{"tx":"3","changes":[{"table":"Product","op":"update","key":{"id":1},"after":{"cost":60.0}}]}
{"tx":"4","changes":[{"table":"Product","op":"delete","key":{"id":2}}]}
"#;

#[test]
fn each_change_is_followed_by_steps_of_epochs_of_their_own() {
    let folder =
        Folder::new(&[("t.toml", &SHOP.replace("steps = 3", "steps = 2")), ("in.jsonl", CHANGES.lines().next().unwrap())]);
    folder.run(&["apply", "t.toml", "--input", "in.jsonl", "--final"]).is(expect![[r#"
        exit 0
        --- stdout
        {"epoch":1,"kind":"delta","node":"Product.dear","key":{"id":1},"old":null,"new":false}
        {"epoch":1,"kind":"delta","node":"Product.demand","key":{"id":1},"old":null,"new":367.87944117144235}
        {"epoch":1,"kind":"delta","node":"Product.price","key":{"id":1},"old":null,"new":20.0}
        {"epoch":1,"kind":"delta","node":"Product.price gradient","key":{"id":1},"old":null,"new":-110.36383235143273}
        {"epoch":1,"kind":"delta","node":"Product.profit","key":{"id":1},"old":null,"new":5150.312176400193}
        {"epoch":1,"kind":"delta","node":"goal profit","key":{},"old":null,"new":5150.312176400193}
        {"epoch":2,"kind":"delta","node":"Product.demand","key":{"id":1},"old":367.87944117144235,"new":358.79646540676436}
        {"epoch":2,"kind":"delta","node":"Product.price","key":{"id":1},"old":20.0,"new":20.499999999954696}
        {"epoch":2,"kind":"delta","node":"Product.price gradient","key":{"id":1},"old":-110.36383235143273,"new":-98.66902798767296}
        {"epoch":2,"kind":"delta","node":"Product.profit","key":{"id":1},"old":5150.312176400193,"new":5202.548748381828}
        {"epoch":2,"kind":"delta","node":"goal profit","key":{},"old":5150.312176400193,"new":5202.548748381828}
        {"epoch":3,"kind":"delta","node":"Product.demand","key":{"id":1},"old":358.79646540676436,"new":349.9768883103436}
        {"epoch":3,"kind":"delta","node":"Product.price","key":{"id":1},"old":20.499999999954696,"new":20.997763201559934}
        {"epoch":3,"kind":"delta","node":"Product.price gradient","key":{"id":1},"old":-98.66902798767296,"new":-87.53336346547746}
        {"epoch":3,"kind":"delta","node":"Product.profit","key":{"id":1},"old":5202.548748381828,"new":5248.8704968973225}
        {"epoch":3,"kind":"delta","node":"goal profit","key":{},"old":5202.548748381828,"new":5248.8704968973225}
        {"kind":"final","node":"Product.dear","key":{"id":1},"value":false,"error":null}
        {"kind":"final","node":"Product.demand","key":{"id":1},"value":349.9768883103436,"error":null}
        {"kind":"final","node":"Product.price","key":{"id":1},"value":20.997763201559934,"error":null}
        {"kind":"final","node":"Product.price gradient","key":{"id":1},"value":-87.53336346547746,"error":null}
        {"kind":"final","node":"Product.profit","key":{"id":1},"value":5248.8704968973225,"error":null}
        {"kind":"final","node":"goal profit","key":{},"value":5248.8704968973225,"error":null}
    "#]]);
}

#[test]
fn steps_are_the_same_for_any_number_of_workers_and_any_batch() {
    let folder = Folder::new(&[("t.toml", &SHOP.replace("steps = 3", "steps = 25")), ("in.jsonl", CHANGES)]);
    let first = folder.run(&["apply", "t.toml", "--input", "in.jsonl", "--final", "--state"]);
    assert_eq!((first.code, first.out.matches("\"node\":\"dear\"").count()), (0, 2), "{first}");
    for (workers, batch) in [("1", "1"), ("1", "7"), ("2", "1000"), ("4", "2")] {
        let args = ["apply", "t.toml", "--input", "in.jsonl", "--final", "--state", "--workers", workers, "--batch", batch];
        assert_eq!(folder.run(&args).out, first.out, "{workers} workers, batch {batch}");
    }
}

/// Prices after the changes, under a goal whose slope is `price`'s own way to 3, steeper by `steep`.
fn prices(optimizer: &str, changes: &str) -> Vec<String> {
    let config = format!(
        r#"
[[table]]
name = "Product"
key = ["id"]
columns = {{ id = "int", steep = "double" }}

[fields]
"Product.off" = "steep * (price - 3.0) * (price - 3.0) / 2.0"

[[goal]]
name = "near"
minimize = "sum(Product[*].off)"
variables = {{ "Product.price" = {{ init = 4.0 }} }}
optimizer = {optimizer}
online = true
steps = 2
"#
    );
    let folder = Folder::new(&[("t.toml", &config), ("in.jsonl", changes)]);
    let ran = folder.run(&["apply", "t.toml", "--input", "in.jsonl"]);
    assert_eq!(ran.code, 0, "{ran}");
    let new = |line: &str| {
        Some(line.split_once("\"node\":\"Product.price\"")?.1.split_once("\"new\":")?.1.trim_end_matches('}').to_owned())
    };
    ran.out.lines().filter_map(new).collect()
}

#[test]
fn eng_13_a_step_that_leads_nowhere_is_not_taken_and_training_goes_on_with_better_rows() {
    const ROWS: &str = r#"{"tx":"1","changes":[{"table":"Product","op":"insert","after":{"id":1,"steep":1e200}}]}
{"tx":"2","changes":[{"table":"Product","op":"update","key":{"id":1},"after":{"steep":1.0}}]}"#;
    // Ten times the slope is no number: the price stays where it began, then goes half of the way twice.
    let huge = ROWS.replace("1e200", "1e308").replace("\"steep\":1.0", "\"steep\":0.05");
    expect!["4.0 3.5 3.25"].assert_eq(&prices(r#"{ kind = "sgd", lr = 10.0 }"#, &huge).join(" "));
    // The square of the slope has no room in what Adam keeps.
    expect!["4.0 3.500000005 3.033910190759125"].assert_eq(&prices(r#"{ kind = "adam", lr = 0.5 }"#, ROWS).join(" "));
}

#[test]
fn a_goal_that_makes_no_sense_is_shown_where_it_stands() {
    let wrong = SHOP.replace("kind = \"adam\"", "kind = \"adma\"").replace("online = true", "online = true\nbatch = 32");
    let folder = Folder::new(&[("t.toml", &wrong)]);
    folder.run(&["check", "t.toml"]).is(expect![[r#"
        exit 3
        --- stderr
        error[E0287]: `batch` of section `[[goal]]` is not built yet
          --> t.toml:23:1
           |
        23 | batch = 32
           | ^^^^^ not built yet
           |
           = help: leave it out
           = next: thalweg explain E0287

        t.toml: 1 error
    "#]]);
    let flat = SHOP.replace("sum(Product[*].profit)", "sum(Product[*].dear ? 1.0 : 0.0)");
    let folder = Folder::new(&[("t.toml", &flat)]);
    folder.run(&["check", "t.toml"]).is(expect![[r#"
        exit 3
        --- stderr
        error[E0266]: goal `profit` does not depend on `Product.price`
          --> t.toml:20:15
           |
        20 | variables = { "Product.price" = { min = 5.0, max = 100.0, init = 20.0 } }
           |               ^^^^^^^^^^^^^^^
           |
           = help: use functions with a slope (sigmoid for a condition), or leave it out of `variables`
           = note: no slope goes through a condition in Product.dear ? 1.0 : 0.0
           = next: thalweg explain E0266

        t.toml: 1 error
    "#]]);
}
