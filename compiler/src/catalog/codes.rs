//! The stable codes of what the checker says. Syntax errors (`PF01xx`) are the grammar's.

use pfscript_grammar::Code;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal: $explanation:literal;)*) => {
        $($(#[$doc])* #[doc = $explanation] pub const $name: Code = Code($code);)*

        /// Each code with what it means.
        pub const EXPLANATIONS: &[(&str, &str)] = &[$(($code, $explanation)),*];
    };
}

codes! {
    UNKNOWN_NAME = "PF0201": "A bare name is neither a builtin nor a parameter of the script.";
    UNKNOWN_FUNCTION = "PF0202": "No function has this name.";
    UNKNOWN_VARIABLE = "PF0203": "A scratch variable is used before anything was assigned to it.";
    UNKNOWN_MAP = "PF0204": "A map is read, but nothing in the script ever writes to it.";
    UNKNOWN_FIELD = "PF0205": "The probe's arguments, or the value in front of the dot, have no such field.";
    UNKNOWN_TYPE = "PF0206": "No type has this name.";
    NAME_TAKEN = "PF0207": "The name already means something else.";
    TYPE_MISMATCH = "PF0301": "A value of one type stands where one of another type is needed.";
    KEY_SHAPE = "PF0302": "A map is used with two kinds of keys: every use must have the same number and types of keys.";
    VALUE_SHAPE = "PF0303": "A map is given values of two kinds: a map holds integers, or strings, or one aggregation.";
    NOT_A_PLACE = "PF0304": "Only variables and map elements can be assigned to, counted up or counted down.";
    ARGUMENT_COUNT = "PF0305": "A function is called with too few or too many arguments.";
    NOT_CONSTANT = "PF0306": "The value must be known when the script is compiled: a literal, a parameter, or arithmetic on them.";
    NOT_POSITIVE = "PF0307": "The value must be 1 or more.";
    DIVISION_BY_ZERO = "PF0308": "The divisor is the constant 0.";
    NO_VALUE = "PF0309": "The call has no value and can only stand as a statement.";
    NOT_HERE = "PF0310": "It exists, but not in this place or not in this kind of probe.";
    FORMAT = "PF0311": "The format string and its arguments do not go together.";
    FIELD_NAME = "PF0312": "A field of emit() has no name, or two have the same.";
    NOT_SUPPORTED = "PF0313": "It is part of the language, but this version of pfscript does not compile it.";
    OUTSIDE_LOOP = "PF0314": "break and continue belong inside a loop.";
    NO_ELEMENT = "PF0315": "An array or string has no element of that number.";
    PARAM_DECLARATION = "PF0401": "The declaration of a parameter contradicts itself.";
    PARAM_MISSING = "PF0402": "The parameter has no default, and no value was given.";
    UNKNOWN_PROBE = "PF0501": "No kind of probe has this name.";
    PROBE_SYNTAX = "PF0502": "This kind of probe is written differently.";
    UNKNOWN_TRACEPOINT = "PF0503": "The kernel has no such tracepoint.";
    TRACEPOINT_UNREADABLE = "PF0504": "The layout of the tracepoint's fields cannot be learnt here.";
    STACK = "PF0601": "The program needs more than the 512 bytes of stack that the kernel allows.";
    TOO_LONG = "PF0602": "The program is longer than the kernel allows.";
    UNUSED_PARAM = "PF0901": "A parameter is declared, but nothing uses it.";
    UNUSED_VARIABLE = "PF0902": "A variable is assigned, but never read.";
    CONSTANT_CONDITION = "PF0903": "The condition is always true, or always false.";
    UNREACHABLE = "PF0904": "The statement can never run.";
    DEFAULT_PERIOD = "PF0905": "Without a period the event is sampled: most of them are not seen.";
    INEXACT_MULTIPLES = "PF0906": "The value is gathered from all CPUs while they go on counting: a multiple may be passed over, or met twice.";
}
