//! Compiling an expression to straight code, where every type is known and every value has a word.

use std::collections::BTreeMap;

use thalweg_formulas::ast::{BinaryOp, UnaryOp};
use thalweg_formulas::{Expr, ExprKind, Type, Value};

use super::short::{Places, Short};
use super::{ANSWER, CONSTANT, Code, Instr, KEPT, LAST, Op, Straight};
use crate::state::Kind;

/// Words of scratch that the cells of a region share.
const SCRATCH: u32 = 64;

/// More digits behind the point than this are left to the program.
const SCALE_MAX: u8 = 18;

/// Compiles the cells of one region, one after the other.
pub struct Assembler {
    kinds: Vec<Kind>,
    constants: Vec<u64>,
    places: BTreeMap<u64, u32>,
    code: Code,
}

impl Assembler {
    /// For rows of slots of these kinds.
    pub fn new(kinds: Vec<Kind>) -> Assembler {
        Assembler { kinds, constants: Vec::new(), places: BTreeMap::new(), code: Code::default() }
    }

    /// Straight code for the cell of slot `slot`, or `None` where the expression needs the general evaluator.
    pub fn compile(&mut self, expr: &Expr, slot: u32) -> Option<Straight> {
        let kind = self.kinds[slot as usize];
        let mut compiler = Compiler { region: self, code: Vec::new(), needs: BTreeMap::new(), scratch: 0 };
        compiler.answer(expr, kind)?;
        let Compiler { mut code, needs, .. } = compiler;
        keep_in_register(&mut code, self.base());
        let start = self.code.instrs.len() as u32;
        let mut needs = needs.into_iter();
        let [first, second] = [(); 2].map(|()| needs.next().unwrap_or((0, 0)));
        let has_more = needs.len() > 0;
        let check = |(word, constant)| Instr { constant, ..Instr::new(Op::Check, word, CONSTANT, KEPT) };
        self.code.instrs.extend(needs.map(check));
        let moved = self.code.instrs.len() as u32;
        code.iter_mut().filter(|instr| matches!(instr.op, Op::Jump | Op::Unless)).for_each(|jump| jump.out += moved);
        let places = Places { words: self.base(), scratch: SCRATCH, constants: &self.constants };
        let short = if has_more { Short::NONE } else { Short::of(&code, &places) };
        self.code.instrs.extend(code);
        Some(Straight { masks: [first.1, second.1], words: [first.0, second.0], short, start })
    }

    /// The code of all cells.
    pub fn finish(self) -> Code {
        let frame = std::iter::repeat_n(0, SCRATCH as usize).chain(self.constants).collect();
        Code { frame, ..self.code }
    }

    fn tag_words(&self) -> u32 {
        self.kinds.len().div_ceil(32) as u32
    }

    /// The operand number of word 0 of the frame.
    fn base(&self) -> u32 {
        self.tag_words() + self.kinds.len() as u32
    }

    fn constant(&mut self, word: u64) -> u32 {
        let next = SCRATCH + self.constants.len() as u32;
        let place = *self.places.entry(word).or_insert_with(|| {
            self.constants.push(word);
            next
        });
        self.base() + place
    }
}

/// Whether the value stands somewhere already.
fn is_leaf(expr: &Expr) -> bool {
    matches!(expr.kind(), ExprKind::Input(_)) || matches!(expr.kind(), ExprKind::Const(value) if !value.is_null())
}

/// Lets an instruction take what the one before has computed from a register, unless a jump may come between. What nobody takes from
/// the frame is not written there.
fn keep_in_register(code: &mut [Instr], base: u32) {
    let jumps = |op: Op| matches!(op, Op::Jump | Op::Unless);
    let targets: Vec<u32> = code.iter().filter(|instr| jumps(instr.op)).map(|instr| instr.out).collect();
    for at in 1..code.len() {
        let before = code[at - 1];
        if jumps(before.op) || before.out == ANSWER || targets.contains(&(at as u32)) {
            continue;
        }
        let computed = base + before.out;
        let instr = &mut code[at];
        instr.a = if instr.a == computed { LAST } else { instr.a };
        instr.b = if instr.b == computed { LAST } else { instr.b };
    }
    for at in 0..code.len() {
        let out = code[at].out;
        if !jumps(code[at].op) && out != ANSWER && !code.iter().any(|instr| [instr.a, instr.b].contains(&(base + out))) {
            code[at].out = KEPT;
        }
    }
}

/// An operand and how its word is read.
#[derive(Clone, Copy)]
struct Operand {
    at: u32,
    kind: Kind,
    /// The word, if it is a constant.
    constant: Option<u64>,
}

struct Compiler<'a> {
    region: &'a mut Assembler,
    code: Vec<Instr>,
    needs: BTreeMap<u32, u64>,
    scratch: u32,
}

impl Compiler<'_> {
    /// Code that ends with the expression's value, of kind `kind`, as the answer.
    fn answer(&mut self, expr: &Expr, kind: Kind) -> Option<()> {
        match expr.kind() {
            ExprKind::Const(Value::Null) => {
                let at = self.region.constant(0);
                self.code.push(Instr::new(Op::Null, at, at, ANSWER));
            }
            ExprKind::If(condition, yes, no) if !(is_leaf(yes) && is_leaf(no)) => {
                let skip = self.unless(condition)?;
                self.answer(yes, kind)?;
                self.code[skip].out = self.code.len() as u32;
                self.answer(no, kind)?;
            }
            _ => {
                let value = self.value(expr)?;
                if value.kind != kind {
                    return None;
                }
                self.end_with(value);
            }
        }
        Some(())
    }

    /// The last instruction gives the answer if it computed `value`; else a copy does.
    fn end_with(&mut self, value: Operand) {
        let base = self.region.base();
        let jumped_to = self.code.iter().any(|i| matches!(i.op, Op::Jump | Op::Unless) && i.out as usize == self.code.len());
        match self.code.last_mut() {
            Some(last) if !jumped_to && value.at >= base && last.out == value.at - base && last.op != Op::Jump => {
                last.out = ANSWER
            }
            _ => self.code.push(Instr::new(Op::Copy, value.at, value.at, ANSWER)),
        }
    }

    /// A jump, to be aimed, that is taken if `condition` is false.
    fn unless(&mut self, condition: &Expr) -> Option<usize> {
        let condition = self.value(condition)?;
        if condition.kind != Kind::Bool {
            return None;
        }
        self.code.push(Instr::new(Op::Unless, condition.at, condition.at, 0));
        Some(self.code.len() - 1)
    }

    fn value(&mut self, expr: &Expr) -> Option<Operand> {
        match expr.kind() {
            ExprKind::Const(value) => {
                let kind = Kind::of_value(value)?;
                self.constant(kind, kind.word(value)?)
            }
            ExprKind::Input(id) => self.input(id.0, expr.ty()),
            ExprKind::Unary(op, a) => {
                let a = self.value(a)?;
                self.unary(*op, a)
            }
            ExprKind::Binary(op, a, b) => {
                let (a, b) = (self.value(a)?, self.value(b)?);
                self.binary(*op, a, b)
            }
            ExprKind::If(condition, yes, no) if is_leaf(yes) && is_leaf(no) => self.select(condition, yes, no),
            ExprKind::If(condition, yes, no) => self.choice(condition, yes, no),
            _ => None,
        }
    }

    fn constant(&mut self, kind: Kind, word: u64) -> Option<Operand> {
        Some(Operand { at: self.region.constant(word), kind, constant: Some(word) })
    }

    fn input(&mut self, slot: u32, ty: &Type) -> Option<Operand> {
        let kind = Kind::of_type(ty);
        if matches!(kind, Kind::Boxed | Kind::Open) || kind != *self.region.kinds.get(slot as usize)? {
            return None;
        }
        *self.needs.entry(slot / 32).or_insert(0) |= 3 << (slot % 32 * 2);
        Some(Operand { at: self.region.tag_words() + slot, kind, constant: None })
    }

    /// A choice between two words that are there anyway.
    fn select(&mut self, condition: &Expr, yes: &Expr, no: &Expr) -> Option<Operand> {
        let (yes, no, condition) = (self.value(yes)?, self.value(no)?, self.value(condition)?);
        if condition.kind != Kind::Bool || yes.kind != no.kind {
            return None;
        }
        // `None` for one that stands in a slot; an instruction that ended a branch before has no word of the frame either.
        let out = condition.at.checked_sub(self.region.base());
        let computed = |instr: &Instr| !matches!(instr.op, Op::Jump | Op::Unless) && Some(instr.out) == out;
        if !self.code.last().is_some_and(computed) {
            self.emit(Op::Copy, condition, condition, Kind::Bool)?;
        }
        self.emit(Op::Select, yes, no, yes.kind)
    }

    fn choice(&mut self, condition: &Expr, yes: &Expr, no: &Expr) -> Option<Operand> {
        let skip = self.unless(condition)?;
        let out = self.new_scratch()?;
        let yes = self.value(yes)?;
        self.code.push(Instr::new(Op::Copy, yes.at, yes.at, out));
        self.code.push(Instr::new(Op::Jump, yes.at, yes.at, 0));
        let end = self.code.len() - 1;
        self.code[skip].out = self.code.len() as u32;
        let no = self.value(no)?;
        if no.kind != yes.kind {
            return None;
        }
        self.code.push(Instr::new(Op::Copy, no.at, no.at, out));
        self.code[end].out = self.code.len() as u32;
        Some(Operand { at: self.region.base() + out, kind: yes.kind, constant: None })
    }

    fn new_scratch(&mut self) -> Option<u32> {
        self.scratch += 1;
        (self.scratch <= SCRATCH).then_some(self.scratch - 1)
    }

    fn emit(&mut self, op: Op, a: Operand, b: Operand, kind: Kind) -> Option<Operand> {
        let out = self.new_scratch()?;
        let (a, b) = if a.constant.is_some() && op.commutes() { (b, a) } else { (a, b) };
        let instr = Instr::new(op, a.at, b.at, out);
        self.code.push(b.constant.map_or(instr, |constant| Instr { b: CONSTANT, constant, ..instr }));
        Some(Operand { at: self.region.base() + out, kind, constant: None })
    }

    fn unary(&mut self, op: UnaryOp, a: Operand) -> Option<Operand> {
        match (op, a.kind) {
            (UnaryOp::Not, Kind::Bool) => self.emit(Op::Not, a, a, Kind::Bool),
            (UnaryOp::Neg, Kind::Int | Kind::Duration | Kind::Decimal(_)) => self.emit(Op::NegI, a, a, a.kind),
            (UnaryOp::Neg, Kind::Double) => self.emit(Op::NegF, a, a, Kind::Double),
            _ => None,
        }
    }

    fn binary(&mut self, op: BinaryOp, a: Operand, b: Operand) -> Option<Operand> {
        match op {
            BinaryOp::Add | BinaryOp::Sub => self.sum(op, a, b),
            BinaryOp::Mul => self.product(a, b),
            BinaryOp::Div | BinaryOp::Rem => self.quotient(op, a, b),
            BinaryOp::Eq | BinaryOp::Ne => self.equality(op, a, b),
            BinaryOp::Lt => self.order(Op::LtI, Op::LtU, Op::LtF, a, b),
            BinaryOp::Le => self.order(Op::LeI, Op::LeU, Op::LeF, a, b),
            BinaryOp::Gt => self.order(Op::LtI, Op::LtU, Op::LtF, b, a),
            BinaryOp::Ge => self.order(Op::LeI, Op::LeU, Op::LeF, b, a),
            BinaryOp::And if (a.kind, b.kind) == (Kind::Bool, Kind::Bool) => self.emit(Op::And, a, b, Kind::Bool),
            BinaryOp::Or if (a.kind, b.kind) == (Kind::Bool, Kind::Bool) => self.emit(Op::Or, a, b, Kind::Bool),
            BinaryOp::And | BinaryOp::Or | BinaryOp::In => None,
        }
    }

    fn sum(&mut self, op: BinaryOp, a: Operand, b: Operand) -> Option<Operand> {
        let [ints, uints, doubles] =
            if op == BinaryOp::Add { [Op::AddI, Op::AddU, Op::AddF] } else { [Op::SubI, Op::SubU, Op::SubF] };
        match (a.kind, b.kind) {
            (Kind::Int, Kind::Int) => self.emit(ints, a, b, Kind::Int),
            (Kind::Uint, Kind::Uint) => self.emit(uints, a, b, Kind::Uint),
            (Kind::Duration, Kind::Duration) => self.emit(ints, a, b, Kind::Duration),
            (Kind::Timestamp, Kind::Timestamp) if op == BinaryOp::Sub => self.emit(ints, a, b, Kind::Duration),
            (Kind::Double, _) | (_, Kind::Double) => {
                let (a, b) = (self.as_double(a)?, self.as_double(b)?);
                self.emit(doubles, a, b, Kind::Double)
            }
            (Kind::Decimal(_), _) | (_, Kind::Decimal(_)) => {
                let (a, b, scale) = self.at_one_scale(a, b)?;
                self.emit(ints, a, b, Kind::Decimal(scale))
            }
            _ => None,
        }
    }

    fn product(&mut self, a: Operand, b: Operand) -> Option<Operand> {
        match (a.kind, b.kind) {
            (Kind::Int, Kind::Int) => self.emit(Op::MulI, a, b, Kind::Int),
            (Kind::Uint, Kind::Uint) => self.emit(Op::MulU, a, b, Kind::Uint),
            (Kind::Double, _) | (_, Kind::Double) => {
                let (a, b) = (self.as_double(a)?, self.as_double(b)?);
                self.emit(Op::MulF, a, b, Kind::Double)
            }
            (Kind::Decimal(_), _) | (_, Kind::Decimal(_)) => {
                let ((a, s), (b, t)) = (self.as_mantissa(a)?, self.as_mantissa(b)?);
                if s + t > SCALE_MAX {
                    return None;
                }
                self.emit(Op::MulI, a, b, Kind::Decimal(s + t))
            }
            _ => None,
        }
    }

    fn quotient(&mut self, op: BinaryOp, a: Operand, b: Operand) -> Option<Operand> {
        let [ints, uints, doubles] =
            if op == BinaryOp::Div { [Op::DivI, Op::DivU, Op::DivF] } else { [Op::RemI, Op::RemU, Op::RemF] };
        match (a.kind, b.kind) {
            (Kind::Int, Kind::Int) => self.emit(ints, a, b, Kind::Int),
            (Kind::Uint, Kind::Uint) => self.emit(uints, a, b, Kind::Uint),
            (Kind::Double, _) | (_, Kind::Double) => {
                let (a, b) = (self.as_double(a)?, self.as_double(b)?);
                self.emit(doubles, a, b, Kind::Double)
            }
            _ => None,
        }
    }

    fn equality(&mut self, op: BinaryOp, a: Operand, b: Operand) -> Option<Operand> {
        let [words, doubles] = if op == BinaryOp::Eq { [Op::Eq, Op::EqF] } else { [Op::Ne, Op::NeF] };
        match (a.kind, b.kind) {
            (Kind::Double, _) | (_, Kind::Double) => {
                let (a, b) = (self.as_exact_double(a)?, self.as_exact_double(b)?);
                self.emit(doubles, a, b, Kind::Bool)
            }
            (Kind::Decimal(_), _) | (_, Kind::Decimal(_)) => {
                let (a, b, _) = self.at_one_scale(a, b)?;
                self.emit(words, a, b, Kind::Bool)
            }
            (x, y) if x == y => self.emit(words, a, b, Kind::Bool),
            _ => None,
        }
    }

    fn order(&mut self, ints: Op, uints: Op, doubles: Op, a: Operand, b: Operand) -> Option<Operand> {
        match (a.kind, b.kind) {
            (Kind::Double, _) | (_, Kind::Double) => {
                let (a, b) = (self.as_exact_double(a)?, self.as_exact_double(b)?);
                self.emit(doubles, a, b, Kind::Bool)
            }
            (Kind::Decimal(_), _) | (_, Kind::Decimal(_)) => {
                let (a, b, _) = self.at_one_scale(a, b)?;
                self.emit(ints, a, b, Kind::Bool)
            }
            (Kind::Uint, Kind::Uint) | (Kind::Bool, Kind::Bool) => self.emit(uints, a, b, Kind::Bool),
            (Kind::Int, Kind::Int) | (Kind::Timestamp, Kind::Timestamp) | (Kind::Duration, Kind::Duration) => {
                self.emit(ints, a, b, Kind::Bool)
            }
            _ => None,
        }
    }

    /// As arithmetic promotes: rounded to the nearest double.
    fn as_double(&mut self, a: Operand) -> Option<Operand> {
        match (a.kind, a.constant) {
            (Kind::Double, _) => Some(a),
            (Kind::Int, Some(word)) => self.constant(Kind::Double, (word as i64 as f64).to_bits()),
            (Kind::Int, None) => self.emit(Op::IntToDouble, a, a, Kind::Double),
            (Kind::Uint, _) => self.emit(Op::UintToDouble, a, a, Kind::Double),
            _ => None,
        }
    }

    /// As comparison needs it: on one number line, so nothing may be rounded.
    fn as_exact_double(&mut self, a: Operand) -> Option<Operand> {
        match (a.kind, a.constant) {
            (Kind::Double, _) => Some(a),
            (Kind::Int, Some(word)) if (word as i64).unsigned_abs() <= 1 << 53 => {
                self.constant(Kind::Double, (word as i64 as f64).to_bits())
            }
            (Kind::Int, None) => self.emit(Op::IntToDoubleExact, a, a, Kind::Double),
            _ => None,
        }
    }

    /// An int, uint or decimal as mantissa and scale.
    fn as_mantissa(&mut self, a: Operand) -> Option<(Operand, u8)> {
        match a.kind {
            Kind::Decimal(scale) if scale <= SCALE_MAX => Some((a, scale)),
            Kind::Int => Some((a, 0)),
            Kind::Uint => Some((self.emit(Op::UintToInt, a, a, Kind::Int)?, 0)),
            _ => None,
        }
    }

    /// Two mantissas of the greater scale.
    fn at_one_scale(&mut self, a: Operand, b: Operand) -> Option<(Operand, Operand, u8)> {
        let ((a, s), (b, t)) = (self.as_mantissa(a)?, self.as_mantissa(b)?);
        let scale = s.max(t);
        Some((self.scaled(a, scale - s)?, self.scaled(b, scale - t)?, scale))
    }

    fn scaled(&mut self, a: Operand, digits: u8) -> Option<Operand> {
        if digits == 0 {
            return Some(a);
        }
        let factor = 10_i64.checked_pow(digits.into())?;
        if let Some(word) = a.constant {
            return self.constant(a.kind, (word as i64).checked_mul(factor)? as u64);
        }
        let factor = self.constant(Kind::Int, factor as u64)?;
        self.emit(Op::MulI, a, factor, a.kind)
    }
}
