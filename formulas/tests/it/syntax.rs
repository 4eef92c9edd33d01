//! Text → tree → text.

use expect_test::{Expect, expect};
use proptest::prelude::*;
use thalweg_formulas::ast::{AstKind, BinaryOp, UnaryOp};
use thalweg_formulas::{Ast, Problem, Span, Value, parse};

/// Every operation in parentheses: shows how a text was grouped.
fn grouped(ast: &Ast) -> String {
    match &ast.kind {
        AstKind::Unary(op, a) => format!("({}{})", op.symbol(), grouped(a)),
        AstKind::Binary(op, a, b) => format!("({} {} {})", grouped(a), op.symbol(), grouped(b)),
        AstKind::Ternary(c, a, b) => format!("({} ? {} : {})", grouped(c), grouped(a), grouped(b)),
        AstKind::Select(a, name, _) => format!("{}.{name}", grouped(a)),
        AstKind::Each(a) => format!("{}[*]", grouped(a)),
        AstKind::Index(a, b) => format!("{}[{}]", grouped(a), grouped(b)),
        _ => ast.to_string(),
    }
}

#[test]
fn operators_bind_as_in_cel() {
    for (text, expected) in [
        ("a + b * c - d", "((a + (b * c)) - d)"),
        ("a - b - c", "((a - b) - c)"),
        ("a / b % c", "((a / b) % c)"),
        ("a || b && c || d", "((a || (b && c)) || d)"),
        ("a == b && c != d", "((a == b) && (c != d))"),
        ("a < b == c", "((a < b) == c)"),
        ("a + 1 in b", "((a + 1) in b)"),
        ("!a.b && -c[0] < 1", "(((!a.b)) && ((-c[0]) < 1))"),
        ("a ? b : c ? d : e", "(a ? b : (c ? d : e))"),
        ("a || b ? c + 1 : d", "((a || b) ? (c + 1) : d)"),
        ("a -1", "(a - 1)"),
        ("a - -1", "(a - -1)"),
        ("--a", "(-(-a))"),
        ("-1 + -x", "(-1 + (-x))"),
        ("(a + b) * c", "((a + b) * c)"),
        ("items[*].price * items[*].qty", "(items[*].price * items[*].qty)"),
    ] {
        let expected = expected.replace("((!a.b))", "(!a.b)");
        assert_eq!(grouped(&parse(text).unwrap()), expected, "{text}");
    }
}

#[test]
fn literals_are_those_of_cel() {
    let bytes = |b: &[u8]| Value::Bytes(b.into());
    for (text, expected) in [
        ("null", Value::Null),
        ("true", true.into()),
        ("42", 42.into()),
        ("-9223372036854775808", i64::MIN.into()),
        ("0xFF", 255.into()),
        ("-0x10", (-16).into()),
        ("18446744073709551615u", u64::MAX.into()),
        ("0xffU", 255u64.into()),
        ("1.5", 1.5.into()),
        (".5", 0.5.into()),
        ("1e3", 1000.0.into()),
        ("-2.5E-1", (-0.25).into()),
        ("'it\\'s'", "it's".into()),
        ("\"it's\"", "it's".into()),
        (r"'\n\t\\\x41\u00e4\U0001F600\101\?\`'", "\n\t\\Aä😀A?`".into()),
        (r"r'\n'", "\\n".into()),
        ("'''two\nlines, 'quoted' '''", "two\nlines, 'quoted' ".into()),
        ("\"\"\"\"a\"\"\"", "\"a".into()),
        ("b'ab\\xff\\377'", bytes(b"ab\xff\xff")),
        ("b'ä'", bytes("ä".as_bytes())),
        (r"bR'\x'", bytes(b"\\x")),
        ("''", "".into()),
    ] {
        assert_eq!(parse(text).unwrap().kind, AstKind::Literal(expected), "{text}");
    }
}

#[test]
fn any_name_can_be_a_column() {
    for name in ["namespace", "package", "loop", "function", "type", "var", "if", "and", "or", "not", "is", "r", "b", "größe"] {
        assert_eq!(parse(name).unwrap().kind, AstKind::Ident(name.into()));
        let member = parse(&format!("old.{name} != new.{name}")).unwrap();
        assert_eq!(member.to_string(), format!("old.{name} != new.{name}"));
    }
    assert_eq!(parse("`order no.`").unwrap().kind, AstKind::Ident("order no.".into()));
    assert_eq!(parse("`a``b`").unwrap().kind, AstKind::Ident("a`b".into()));
    assert_eq!(parse("`in`").unwrap().to_string(), "`in`");
}

#[test]
fn text_is_printed_with_as_few_parentheses_as_it_needs() {
    for (text, expected) in [
        ("((a)+((b*c)))", "a + b * c"),
        ("(a+b)*c", "(a + b) * c"),
        ("a-(b-c)", "a - (b - c)"),
        ("(a?b:c)?d:(e?f:g)", "(a ? b : c) ? d : e ? f : g"),
        ("-(1)", "-(1)"),
        ("-(-1)", "--1"),
        ("(-1).f()", "(-1).f()"),
        ("!(a&&b)", "!(a && b)"),
        ("{'a':1,2:[ ]}", "{'a': 1, 2: []}"),
        ("x.exists(i,i>1)", "x.exists(i, i > 1)"),
        ("[1,2,] // the rest is silence", "[1, 2]"),
        ("sum( items [ * ] . price )", "sum(items[*].price)"),
    ] {
        assert_eq!(parse(text).unwrap().to_string(), expected, "{text}");
    }
}

#[test]
fn places_are_exact() {
    let text = "alpha + (βeta.gamma  *\n items[*].x) > 2";
    let places = |ast: &Ast| -> Vec<String> {
        let cut = |s: Span| text[s.start as usize..s.end as usize].to_owned();
        let mut all = Vec::new();
        let mut todo = vec![ast.clone()];
        while let Some(ast) = todo.pop() {
            all.push(format!("{} @ {}", cut(ast.span), cut(ast.anchor)));
            todo.extend(ast.parts().into_iter().rev().cloned());
        }
        all
    };
    expect![[r#"
        alpha + (βeta.gamma  *
         items[*].x) > 2 @ >
        alpha + (βeta.gamma  *
         items[*].x) @ +
        alpha @ alpha
        (βeta.gamma  *
         items[*].x) @ *
        βeta.gamma @ gamma
        βeta @ βeta
        items[*].x @ x
        items[*] @ [*]
        items @ items
        2 @ 2"#]]
    .assert_eq(&places(&parse(text).unwrap()).join("\n"));
}

/// The problems of `text`, line by line, with the marked text in guillemets.
pub fn rendered(text: &str, problems: &[Problem]) -> String {
    let paragraphs = problems.iter().map(|p| {
        let mut lines = vec![p.to_string()];
        lines.extend(p.span.map(|span| {
            let marked = &text[span.start as usize..span.end as usize];
            if p.label.is_empty() { format!("  at «{marked}»") } else { format!("  at «{marked}»: {}", p.label) }
        }));
        lines.extend(p.help.iter().map(|help| format!("  help: {help}")));
        lines.extend(p.notes.iter().map(|note| format!("  note: {note}")));
        lines.join("\n")
    });
    paragraphs.collect::<Vec<_>>().join("\n") + "\n"
}

fn refused(text: &str, expected: Expect) {
    let problems = parse(text).expect_err(text);
    expected.assert_eq(&rendered(text, &problems));
}

#[test]
fn wrong_syntax_is_refused_with_place_and_cure() {
    refused(
        "",
        expect![[r#"
            E0108: the formula is empty
              at «»
              help: write an expression, such as `price * quantity`
        "#]],
    );
    refused(
        "  // nothing but a comment",
        expect![[r#"
            E0108: the formula is empty
              at «»
              help: write an expression, such as `price * quantity`
        "#]],
    );
    refused(
        "status == 'open",
        expect![[r#"
        E0101: unclosed text
          at «'»: this quote is never closed
          help: close the text with '; only a text in three quotes goes on over the end of its line
    "#]],
    );
    refused(
        "`order no > 1",
        expect![[r#"
        E0101: unclosed quoted name
          at «`»: this backtick is never closed
          help: close the name with a backtick
    "#]],
    );
    refused(
        "priority <=",
        expect![[r#"
        E0102: the formula ends where a value is expected
          at «<=»: nothing follows `<=`
          help: write the value, or remove this
    "#]],
    );
    refused(
        "priority <= && x",
        expect![[r#"
        E0102: expected a value, found `&&`
          at «&&»: `<=` needs a value on its right
    "#]],
    );
    refused(
        "status = 'open' and priority <> 1 or not done",
        expect![[r#"
        E0104: `=` is not an operator of this language
          at «=»: a comparison is written `==`
          help: write `==`
        E0104: `and` is not an operator of this language
          at «and»: a conjunction is written `&&`
          help: write `&&`
        E0104: `<>` is not an operator of this language
          at «<>»: an inequality is written `!=`
          help: write `!=`
        E0104: `or` is not an operator of this language
          at «or»: a disjunction is written `||`
          help: write `||`
        E0104: `not` is not an operator of this language
          at «not»: negation is written `!`
          help: write `!`
    "#]],
    );
    refused(
        "a && & b",
        expect![[r#"
        E0102: expected a value, found `&`
          at «&»: `&&` needs a value on its right
    "#]],
    );
    refused(
        "sum(items[*].price",
        expect![[r#"
        E0103: unclosed `(`
          at «(»: this bracket is never closed
          help: add `)`
    "#]],
    );
    refused(
        "(a + b]",
        expect![[r#"
        E0103: `(` is closed by `]`
          at «]»: expected `)`
          note: `(` was opened at byte 0
    "#]],
    );
    refused(
        "a + b)",
        expect![[r#"
        E0103: `)` closes nothing
          at «)»: no bracket is open here
          help: remove it, or open one before
    "#]],
    );
    refused(
        "[1, 2",
        expect![[r#"
        E0103: unclosed `[`
          at «[»: this bracket is never closed
          help: add `]`
    "#]],
    );
    refused(
        "status == “open”",
        expect![[r#"
        E0106: `“` is not a quote of this language
          at «“»: a typographic quote
          help: write text in straight quotes: 'text' or "text"
    "#]],
    );
    refused(
        "a ≥ 1",
        expect![[r#"
        E0106: unexpected character `≥`
          at «≥»: no token begins with this
          help: write `>=`
    "#]],
    );
    refused(
        "status is null",
        expect![[r#"
        E0102: expected an operator or the end, found name `is`
          at «is»: not expected here
          help: compare with null by `== null` and `!= null`
    "#]],
    );
    refused(
        "x not in [1, 2]",
        expect![[r#"
        E0102: expected an operator or the end, found name `not`
          at «not»: not expected here
          help: write `!(x in list)`
    "#]],
    );
    refused(
        "first last",
        expect![[r#"
        E0102: expected an operator or the end, found name `last`
          at «last»: not expected here
          help: two values stand side by side; write an operator or a comma between them
    "#]],
    );
    refused(
        "'a' 'b'",
        expect![[r#"
        E0102: expected an operator or the end, found text `'b'`
          at «'b'»: not expected here
          help: join texts with `+`
    "#]],
    );
    refused(
        "12abc + 1e + 0x",
        expect![[r#"
            E0105: `12abc` is not a number
              at «12abc»
              help: numbers are written 1, 1u, 0xff, 1.5 or 1e6; a name does not begin with a digit
            E0105: `1e` is not a number
              at «1e»
              help: an exponent has digits: 1e6
            E0105: `0x` is not a number
              at «0x»
              help: numbers are written 1, 1u, 0xff, 1.5 or 1e6; a name does not begin with a digit
        "#]],
    );
    refused(
        "9223372036854775808",
        expect![[r#"
            E0105: `9223372036854775808` does not fit into a 64-bit signed integer
              at «9223372036854775808»
              help: write it with a `u` at its end for an unsigned one, or as decimal('…')
        "#]],
    );
    refused(
        "99999999999999999999u",
        expect![[r#"
            E0105: `99999999999999999999u` does not fit into 64 bits
              at «99999999999999999999u»
              help: write it as decimal('…')
        "#]],
    );
    refused(
        "1e999",
        expect![[r#"
            E0105: `1e999` does not fit into a double
              at «1e999»
              help: write it as decimal('…')
        "#]],
    );
    refused(
        r"'C:\dir' + b'\u0041'",
        expect![[r#"
        E0105: unknown escape `\d`
          at «\d»: not an escape
          help: write `\\` for a backslash, or put `r` before the quote to take the text as it stands
          note: escapes: \n \t \r \a \b \f \v \\ \' \" \` \? \x41 \101 \u0041 \U00000041
        E0105: unknown escape `\u`
          at «\u»: not an escape
          help: write `\\` for a backslash, or put `r` before the quote to take the text as it stands
          note: escapes: \n \t \r \a \b \f \v \\ \' \" \` \? \x41 \101
    "#]],
    );
    refused(
        "a ? b",
        expect![[r#"
        E0102: expected `:` and the value for when the condition is not true, found the end
          at «»: the formula ends here
    "#]],
    );
    refused(
        "{'a' 1}",
        expect![[r#"
        E0102: expected `:` and the value of this key, found number `1`
          at «1»: not expected here
          help: two values stand side by side; write an operator or a comma between them
    "#]],
    );
    refused(
        "f(a,)(b)",
        expect![[r#"
        E0102: expected an operator or the end, found `(`
          at «(»: not expected here
    "#]],
    );
    refused(
        "a.1",
        expect![[r#"
        E0102: expected an operator or the end, found number `.1`
          at «.1»: not expected here
          help: two values stand side by side; write an operator or a comma between them
    "#]],
    );
    refused(
        "my.Type{a: 1}",
        expect![[r#"
        E0102: `my.Type{…}` builds a message, and there are none
          at «my.Type{»: a message type of protocol buffers
          help: write a map: `{'name': value}`
    "#]],
    );
    refused(
        "total;",
        expect![[r#"
        E0102: expected an operator or the end, found `;`
          at «;»: not expected here
          help: a formula is one expression; remove the semicolon
    "#]],
    );
    refused(
        "+1",
        expect![[r#"
        E0102: expected a value, found `+`
          at «+»: not expected here
          help: remove it; a number has no `+` in front
    "#]],
    );
    refused(
        "*.price",
        expect![[r#"
        E0102: expected a value, found `*`
          at «*»: not expected here
          help: a pattern is written `items[*]`
    "#]],
    );
    refused(
        "in",
        expect![[r#"
        E0102: expected a value, found `in`
          at «in»: not expected here
    "#]],
    );
}

#[test]
fn bombs_are_refused() {
    for text in [
        "(".repeat(60_000),
        "!".repeat(60_000),
        "-".repeat(60_000) + "1",
        "[".repeat(60_000),
        "a ? ".repeat(10_000),
        "a + ".repeat(10_000) + "a",
        "a".to_owned() + &".b".repeat(10_000),
        "a".to_owned() + &"[*]".repeat(10_000),
        "f(".repeat(10_000),
        "{1:".repeat(10_000),
    ] {
        let problems = parse(&text).unwrap_err();
        assert_eq!(problems[0].to_string(), "E0107: the formula is nested too deeply: 200 levels are allowed");
    }
    let problems = parse(&" ".repeat(70_000)).unwrap_err();
    assert_eq!(problems[0].to_string(), "E0107: the formula is too long: 70000 bytes, and 65536 are allowed");
    parse(&("a + ".repeat(199) + "a")).unwrap();
    parse(&("(".repeat(199) + "a" + &")".repeat(199))).unwrap();
}

fn arb_name() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z_][a-z0-9_]{0,5}",
        Just("in".to_owned()),
        Just("null".to_owned()),
        Just("not".to_owned()),
        Just("and".to_owned()),
        Just("b".to_owned()),
        "[^\u{0}]{1,4}",
    ]
}

fn arb_literal() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-3i64..3).prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_filter("a literal", |x| x.is_finite()).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        any::<Vec<u8>>().prop_map(|b| Value::Bytes(b.into())),
    ]
}

fn arb_ast() -> impl Strategy<Value = Ast> {
    const OPS: [BinaryOp; 14] = {
        use BinaryOp::*;
        [Add, Sub, Mul, Div, Rem, Eq, Ne, Lt, Le, Gt, Ge, In, And, Or]
    };
    let leaf = prop_oneof![arb_literal().prop_map(Ast::literal), arb_name().prop_map(Ast::ident)];
    leaf.prop_recursive(6, 64, 3, |inner| {
        let some = proptest::collection::vec(inner.clone(), 0..3);
        let pairs = proptest::collection::vec((inner.clone(), inner.clone()), 0..3);
        prop_oneof![
            4 => (0..OPS.len(), inner.clone(), inner.clone()).prop_map(|(op, a, b)| Ast::binary(OPS[op], a, b)),
            2 => inner.clone().prop_map(|a| Ast::unary(UnaryOp::Neg, a)),
            1 => inner.clone().prop_map(|a| Ast::unary(UnaryOp::Not, a)),
            1 => (inner.clone(), inner.clone(), inner.clone()).prop_map(|(c, a, b)| Ast::ternary(c, a, b)),
            1 => (inner.clone(), arb_name()).prop_map(|(a, name)| a.select(name)),
            1 => inner.clone().prop_map(Ast::each),
            1 => (inner.clone(), inner.clone()).prop_map(|(a, b)| Ast::of(AstKind::Index(a.into(), b.into()))),
            1 => (arb_name(), some.clone()).prop_map(|(name, args)| Ast::call(name, args)),
            1 => (inner.clone(), arb_name(), some.clone()).prop_map(|(a, function, args)| Ast::of(AstKind::Call {
                function, name_span: Span::default(), target: Some(a.into()), args,
            })),
            1 => some.prop_map(|items| Ast::of(AstKind::List(items))),
            1 => pairs.prop_map(|entries| Ast::of(AstKind::Map(entries))),
        ]
    })
}

/// Formulas to be damaged.
const SOUND: [&str; 6] = [
    "old.status != new.status && !(new.type in ['decision', \"x\"])",
    "sum(items[*].price * items[*].qty) > 1e3 ? b'gold' : r'\\std'",
    "rows.filter(r, has(r.a) && r['b'] >= -1u).map(r, r.a + 0x1F)",
    "`order no` == '''three\nlines''' // and a comment",
    "{'a': [1, 2.5, null], 2u: {true: -x.y[0]}}.size() % 3 == 0",
    "timestamp('2024-01-01T00:00:00Z') - duration(\"1h\") <= now",
];

proptest! {
    #[test]
    fn printed_text_parses_to_the_same_tree(ast in arb_ast()) {
        let text = ast.to_string();
        let again = parse(&text).map_err(|p| TestCaseError::fail(format!("{text}: {p:?}")))?;
        prop_assert_eq!(again.without_spans(), ast.without_spans(), "{}", text);
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in any::<String>()) {
        check_outcome(&text);
    }

    #[test]
    fn no_damage_makes_the_parser_panic(
        which in 0..SOUND.len(), at in any::<prop::sample::Index>(), gone in 0usize..4, put in "[-a-z0-9'\"`(){}\\[\\].,:?!=<>&|*/\\\\ äß“\n]{0,4}",
    ) {
        let mut chars: Vec<char> = SOUND[which].chars().collect();
        let at = at.index(chars.len());
        let end = (at + gone).min(chars.len());
        chars.splice(at..end, put.chars());
        check_outcome(&chars.into_iter().collect::<String>());
    }
}

/// Parsing gives a tree that prints and parses again, or problems whose places lie in the text.
fn check_outcome(text: &str) {
    match parse(text) {
        Ok(ast) => assert_eq!(parse(&ast.to_string()).unwrap().without_spans(), ast.without_spans()),
        Err(problems) => {
            assert!(!problems.is_empty());
            rendered(text, &problems);
        }
    }
}
