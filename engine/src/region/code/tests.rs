//! Straight code against the general evaluator, on random expressions and hostile values.

use thalweg_formulas::ast::{BinaryOp, UnaryOp};
use thalweg_formulas::decimal::Decimal;
use thalweg_formulas::eval::Program;
use thalweg_formulas::ops::{binary_type, unary_type};
use thalweg_formulas::{Duration, Expr, ExprKind, InputId, Timestamp, Type, Value};

use super::{Answer, Assembler};
use crate::state::{Kind, Raw, Rows};

/// SplitMix64.
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }
}

fn types() -> Vec<Type> {
    let decimal = |scale| Type::Decimal { precision: 18, scale };
    vec![
        Type::Int,
        Type::Uint,
        Type::Double,
        Type::Bool,
        Type::Timestamp,
        Type::Duration,
        decimal(0),
        decimal(2),
        decimal(5),
        Type::Text,
        Type::Dyn,
    ]
}

fn value(rng: &mut Rng, ty: &Type) -> Value {
    if rng.below(12) == 0 {
        return Value::Null;
    }
    let int = |rng: &mut Rng| {
        *[0, 1, -1, 2, 7, 100, i64::MAX, i64::MIN, 1 << 53, (1 << 53) + 1, rng.next() as i64]
            .get(rng.below(11))
            .expect("in range")
    };
    match ty {
        Type::Int => Value::Int(int(rng)),
        Type::Uint => Value::Uint([0, 1, 2, 9, u64::MAX, 1 << 63, rng.next()][rng.below(7)]),
        Type::Double => Value::double(
            [0.0, -0.0, 1.0, -1.5, 0.1, 1e300, -1e300, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 9_007_199_254_740_993.0]
                [rng.below(11)],
        ),
        Type::Bool => Value::Bool(rng.below(2) == 0),
        Type::Timestamp => Value::Timestamp(Timestamp(rng.below(1_000_000) as i64)),
        Type::Duration => Value::Duration(Duration(int(rng))),
        Type::Decimal { scale, .. } => match rng.below(8) {
            // A mantissa that needs more than 64 bits is boxed.
            0 => Value::Decimal(Decimal::new(i128::from(i64::MAX) * 3, *scale).expect("fits")),
            _ => Value::Decimal(Decimal::Small { mantissa: int(rng), scale: *scale }),
        },
        Type::Text => Value::from(["", "a", "b"][rng.below(3)]),
        _ => [Value::Int(3), Value::from("x"), Value::double(0.5)][rng.below(3)].clone(),
    }
}

fn expression(rng: &mut Rng, slots: &[Type], depth: usize) -> Expr {
    let leaf = |rng: &mut Rng| {
        if rng.below(4) == 0 {
            let ty = types()[rng.below(9)].clone();
            return Expr::new(ExprKind::Const(value(rng, &ty)), ty);
        }
        let slot = rng.below(slots.len());
        Expr::new(ExprKind::Input(InputId(slot as u32)), slots[slot].clone())
    };
    if depth == 0 || rng.below(6) == 0 {
        return leaf(rng);
    }
    const OPS: [BinaryOp; 13] = [
        BinaryOp::Add,
        BinaryOp::Sub,
        BinaryOp::Mul,
        BinaryOp::Div,
        BinaryOp::Rem,
        BinaryOp::Eq,
        BinaryOp::Ne,
        BinaryOp::Lt,
        BinaryOp::Le,
        BinaryOp::Gt,
        BinaryOp::Ge,
        BinaryOp::And,
        BinaryOp::Or,
    ];
    for _ in 0..20 {
        let made = match rng.below(10) {
            0 => {
                let (op, a) = ([UnaryOp::Neg, UnaryOp::Not][rng.below(2)], expression(rng, slots, depth - 1));
                unary_type(op, a.ty()).ok().map(|ty| Expr::new(ExprKind::Unary(op, a), ty))
            }
            1..=4 => {
                let [c, a, b] = [(); 3].map(|()| expression(rng, slots, depth - 1));
                let ty = a.ty().clone();
                (*c.ty() == Type::Bool && ty == *b.ty()).then(|| Expr::new(ExprKind::If(c, a, b), ty))
            }
            _ => {
                let (op, a, b) = (OPS[rng.below(13)], expression(rng, slots, depth - 1), expression(rng, slots, depth - 1));
                binary_type(op, a.ty(), b.ty()).ok().map(|ty| Expr::new(ExprKind::Binary(op, a, b), ty))
            }
        };
        if let Some(made) = made {
            return made;
        }
    }
    leaf(rng)
}

/// The branch before such a choice has ended with its answer: its condition stands in a slot and not in the value last computed.
#[test]
fn a_choice_by_a_slot_looks_at_the_slot_and_not_at_the_branch_before() {
    let slots = [Type::Int, Type::Bool, Type::Int];
    let input = |at: u32| Expr::new(ExprKind::Input(InputId(at)), slots[at as usize].clone());
    let one = Expr::new(ExprKind::Const(Value::Int(1)), Type::Int);
    let choice = |condition, yes, no| Expr::new(ExprKind::If(condition, yes, no), Type::Int);
    let sum = Expr::new(ExprKind::Binary(BinaryOp::Add, input(0), one.clone()), Type::Int);
    let expr = choice(input(1), sum, choice(input(1), input(0), one));
    let kinds: Vec<Kind> = slots.iter().map(Kind::of_type).collect();
    let mut assembler = Assembler::new(kinds.clone());
    let cell = assembler.compile(&expr, 2).expect("words only");
    let code = assembler.finish();
    let mut rows = Rows::new(kinds);
    rows.ensure(0);
    for (flag, expected) in [(true, 8), (false, 1)] {
        for (slot, value) in [(0, Value::Int(7)), (1, Value::Bool(flag))] {
            if let Some(old) = rows.set(0, slot, Ok(value)) {
                rows.release(old);
            }
        }
        assert_eq!(code.run::<false>(&cell, rows.row(0), &mut code.frame()), Answer::Word(expected), "{code:?}");
    }
}

#[test]
fn straight_code_never_differs_from_the_program() {
    let mut rng = Rng(42);
    let (mut straight, mut short, mut answered, mut runs) = (0, 0, 0, 0);
    for case in 0..6_000 {
        // Slots of every type, several of each so that rows have more than one word of tags.
        let mut slots: Vec<Type> = (0..4).flat_map(|_| types().into_iter().take(9)).chain([Type::Text, Type::Dyn]).collect();
        let depth = rng.below(4) + 1;
        let expr = expression(&mut rng, &slots, depth);
        let slot = slots.len() as u32;
        slots.push(expr.ty().clone());
        let kinds: Vec<Kind> = slots.iter().map(Kind::of_type).collect();
        let mut assembler = Assembler::new(kinds.clone());
        let Some(cell) = assembler.compile(&expr, slot) else { continue };
        straight += 1;
        short += usize::from(cell.short.run.is_some());
        let (code, program) = (assembler.finish(), Program::compile(&expr));
        let mut frame = code.frame();
        let mut rows = Rows::new(kinds);
        rows.ensure(0);
        for _ in 0..8 {
            for (slot, ty) in slots.iter().enumerate().take(slot as usize) {
                if let Some(old) = rows.set(0, slot as u32, Ok(value(&mut rng, ty))) {
                    rows.release(old);
                }
            }
            runs += 1;
            let expected = program.eval(&|id: InputId| rows.cell(0, id.0));
            let answer = code.run::<false>(&cell, rows.row(0), &mut frame);
            if !cell.is_missing(rows.row(0)) {
                let long = code.run_from(cell.start, rows.row(0), &mut frame).unwrap_or(Answer::GaveUp);
                assert_eq!(answer, long, "case {case}: short and long code of {expr:?}\n{code:?}");
            }
            let raw = match answer {
                Answer::Word(word) => Some(Raw::inline(word)),
                Answer::Null => Some(Raw::NULL),
                Answer::GaveUp => None,
            };
            if let Some(raw) = raw {
                answered += 1;
                assert_eq!(rows.cell_of(slot, raw), expected, "case {case}: {expr:?}\n{code:?}");
            }
        }
    }
    assert!(
        straight > 1_500 && short > 500 && answered > runs / 4,
        "{straight} compiled, {short} of them short, {answered} of {runs} answered: too few to mean anything"
    );
}
