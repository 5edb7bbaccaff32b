//! Pages made by hand, one statement each.
//!
//! A row is: statement ¦ page ¦ what is expected. In pages `⏎` is a newline, `⇥` a tab, `␍` a carriage return, `␀` a
//! NUL byte, `«BOM»` a byte order mark and `«FF»` the byte 0xff. `«T»` is the time of the test
//! less ten minutes in whole seconds, `«L»` less and `«F»` plus five. In the text format a time is `«T»000`.

use super::comparison::Expected;
use super::reading::now;
use super::{OPENMETRICS, TEXT, page};
use crate::harness::pages::Page;

/// Rows for both formats. OpenMetrics gets its end mark.
const BOTH: &str = r##"
an integer ¦ m 5⏎ ¦ same
a negative number ¦ m -5⏎ ¦ same
a fraction ¦ m 0.1⏎ ¦ same
a fraction without its zero ¦ m .5⏎ ¦ same
a fraction without digits ¦ m 5.⏎ ¦ same
a lone point ¦ m .⏎ ¦ both refuse
a plus before a number ¦ m +5⏎ ¦ same
two signs ¦ m --5⏎ ¦ both refuse
negative zero ¦ m -0⏎ ¦ same
exponents ¦ a 1e3⏎b 1E+3⏎c -1.5e-3⏎ ¦ same
an exponent without digits ¦ m 1e⏎ ¦ both refuse
infinities ¦ a +Inf⏎b -Inf⏎c Inf⏎d inf⏎e -INF⏎f +infinity⏎ ¦ same
half of infinity ¦ m infi⏎ ¦ both refuse
not a number ¦ a NaN⏎b nan⏎c NAN⏎ ¦ same
a sign before not a number ¦ m +NaN⏎ ¦ both refuse
not a number with a payload ¦ m nan(1)⏎ ¦ both refuse
the largest number ¦ m 1.7976931348623157e308⏎ ¦ same
a number beyond the largest ¦ m 1e309⏎ ¦ both refuse
the smallest number ¦ m 5e-324⏎ ¦ same
a number below the smallest ¦ m 1e-400⏎ ¦ same
a denormal number ¦ m 2.2250738585072011e-308⏎ ¦ same
seventeen digits ¦ m 0.30000000000000004⏎ ¦ same
forty digits ¦ m 3.141592653589793238462643383279502884197⏎ ¦ same
halfway between two numbers ¦ a 9007199254740993⏎b 9007199254740995⏎c 1.00000000000000011102230246251565⏎ ¦ same
a number of 2^63 and beyond ¦ a 9223372036854775808⏎b 18446744073709551616⏎ ¦ same
leading zeros ¦ m 000000000000000000000000007⏎ ¦ same
a hexadecimal number ¦ m 0x1p-2⏎ ¦ only Prometheus refuses: Plimsoll reads what Go's ParseFloat reads
a hexadecimal integer ¦ m 0x10⏎ ¦ both refuse
a digit group ¦ m 1_000⏎ ¦ both refuse
a decimal comma ¦ m 1,5⏎ ¦ both refuse
digits of another script ¦ m ١⏎ ¦ both refuse
a suffix behind a number ¦ m 1f⏎ ¦ both refuse
a number in quotes ¦ m "1"⏎ ¦ both refuse
a word instead of a number ¦ m true⏎ ¦ both refuse
no value ¦ m⏎ ¦ both refuse
no value behind a blank ¦ m ⏎ ¦ both refuse
no value behind labels ¦ m{a="b"}⏎ ¦ both refuse
three words behind the name ¦ m 1 2 3⏎ ¦ both refuse
a name of one letter, and one of underscores ¦ m 1⏎__ 2⏎ ¦ same
a name with colons ¦ job:http:rate5m 4⏎:m 3⏎m: 1⏎ ¦ same
a name with a digit first ¦ 9m 1⏎ ¦ both refuse
a name with a dash ¦ a-b 1⏎ ¦ both refuse
a name with a dot ¦ http.requests 1⏎ ¦ both refuse
a name in another script ¦ é 1⏎ ¦ both refuse
a very long name ¦ «LONG» 1⏎ ¦ same
a name in quotes ¦ {"http.requests",a="b"} 9⏎ ¦ only Prometheus refuses: quoted names came with 3.0
a label name in quotes ¦ m{"a.b"="c"} 9⏎ ¦ only Prometheus refuses: quoted names came with 3.0
labels without a name ¦ {a="b"} 1⏎ ¦ both refuse
empty braces ¦ m{} 1⏎ ¦ same
one label ¦ m{a="b"} 1⏎ ¦ same
labels in any order ¦ m{b="2",a="1",c="3"} 1⏎ ¦ same
the same labels in another order, for another value ¦ m{b="2",a="1"} 1⏎m{a="1",b="3"} 2⏎ ¦ same
a comma alone ¦ m{,} 1⏎ ¦ both refuse
two commas ¦ m{a="1",,b="2"} 1⏎ ¦ both refuse
a comma before the first label ¦ m{,a="1"} 1⏎ ¦ both refuse
a label without its value ¦ m{a} 1⏎ ¦ both refuse
a label with nothing behind its equals sign ¦ m{a=} 1⏎ ¦ both refuse
a value without quotes ¦ m{a=b} 1⏎ ¦ both refuse
a value in single quotes ¦ m{a='b'} 1⏎ ¦ both refuse
a colon in a label name ¦ m{a:b="c"} 1⏎ ¦ both refuse
a label name with a digit first ¦ m{1a="c"} 1⏎ ¦ both refuse
a label name in another script ¦ m{é="c"} 1⏎ ¦ both refuse
a label of underscores ¦ m{_="1",__="2",__x__="3"} 1⏎ ¦ same
a label that stands twice ¦ m{a="1",a="2"} 1⏎ ¦ both refuse
a label that stands twice with one value ¦ m{a="1",a="1"} 1⏎ ¦ both refuse
a label that stands twice, once empty ¦ m{a="1",a=""} 1⏎ ¦ only Plimsoll refuses: nobody can tell which one is meant
the name as a label ¦ m{__name__="n"} 1⏎ ¦ both refuse
the name as a label that says the same ¦ m{__name__="m"} 1⏎ ¦ both refuse
no end of the labels ¦ m{a="b" 1⏎ ¦ both refuse
no end of the value ¦ m{a="b} 1⏎ ¦ both refuse
two label blocks ¦ m{a="b"}{c="d"} 1⏎ ¦ both refuse
labels behind the value ¦ m 1 {a="b"}⏎ ¦ both refuse
an empty value ¦ m{a=""} 1⏎ ¦ same
an empty value beside another ¦ m{a="",b="c"} 1⏎ ¦ same
braces in a value ¦ m{path="/u/{id}"} 1⏎ ¦ same
a whole sample in a value ¦ m{q="n{a=\"b\"} 5 6"} 7⏎ ¦ same
a comma and an equals sign in a value ¦ m{q="a,b=c"} 7⏎ ¦ same
a hash in a value ¦ m{q="a # {b} 1"} 7⏎ ¦ same
an escaped quote ¦ m{q="a\"b"} 7⏎ ¦ same
an escaped backslash ¦ m{q="a\\b"} 7⏎ ¦ same
an escaped backslash before the closing quote ¦ m{q="a\\"} 7⏎ ¦ same
an escaped newline ¦ m{q="a\nb"} 7⏎ ¦ same
an escaped backslash before an n ¦ m{q="a\\nb"} 7⏎ ¦ same
an unknown escape ¦ m{q="\d\t\x41"} 7⏎ ¦ same
an escape that escapes the closing quote ¦ m{q="a\"} 7⏎ ¦ both refuse
a tab in a value ¦ m{q="a⇥b"} 7⏎ ¦ same
other languages in a value ¦ m{q="日本語 ελληνικά 😀"} 7⏎ ¦ same
a combining and a composed letter ¦ m{q="e«CC»«81»"} 1⏎m{q="«C3»«A9»"} 2⏎ ¦ same
the replacement character ¦ m{q="�"} 7⏎ ¦ same
control characters in a value ¦ m{q="␇"} 7⏎ ¦ same
a carriage return in a value ¦ m{q="a␍b"} 7⏎ ¦ same
a byte order mark in a value ¦ m{q="«BOM»"} 7⏎ ¦ same
a value that is no UTF-8 ¦ m{q="«FF»"} 7⏎ ¦ both refuse
a surrogate in UTF-8 ¦ m{q="«ED»«A0»«80»"} 7⏎ ¦ both refuse
a name that is no UTF-8 ¦ m«FF» 7⏎ ¦ both refuse
a NUL byte in a value ¦ m{q="a␀b"} 7⏎ ¦ same
a NUL byte in a name ¦ m␀ 1⏎ ¦ both refuse
a very long value ¦ m{q="«LONG»"} 7⏎ ¦ same
very many labels ¦ m{«LABELS»} 7⏎ ¦ same
ten thousand lines ¦ «LINES» ¦ same
bounds of buckets ¦ h_bucket{le="0.1"} 1⏎h_bucket{le="1"} 2⏎h_bucket{le="1.0"} 3⏎h_bucket{le="1e1"} 3⏎h_bucket{le="+Inf"} 3⏎ ¦ same
quantiles of any writing ¦ s{quantile="0.5"} 1⏎s{quantile="0.50"} 2⏎s{quantile="NaN"} 3⏎ ¦ same
a name that starts like the one before ¦ ab 1⏎abc 2⏎a 3⏎ ¦ same
labels that Prometheus adds itself ¦ m{job="j",instance="i"} 1⏎ ¦ same
interleaved families ¦ a 1⏎b 1⏎a{x="1"} 2⏎b{x="1"} 2⏎ ¦ same
a series twice with one value ¦ m 1⏎m 1⏎ ¦ same
a series twice with two values ¦ m 1⏎m 2⏎ ¦ differs: Prometheus drops the second; Plimsoll does so when it stores them, and notes it
a series twice in two writings ¦ m{a="1",b="2"} 1⏎m{b="2",a="1"} 1⏎ ¦ same
a series with and without an empty label ¦ m 1⏎m{a=""} 1⏎ ¦ same
a type ¦ # TYPE m counter⏎m_total 1⏎ ¦ same
every type that both formats have ¦ # TYPE a counter⏎# TYPE b gauge⏎# TYPE c histogram⏎# TYPE d summary⏎a 1⏎ ¦ same
a type that stands twice ¦ # TYPE m counter⏎m 1⏎# TYPE m gauge⏎ ¦ same
a type behind the samples ¦ m 1⏎# TYPE m gauge⏎ ¦ same
a type without samples ¦ # TYPE m gauge⏎ ¦ same
an unknown type ¦ # TYPE m conter⏎m 1⏎ ¦ both refuse
a type in capitals ¦ # TYPE m COUNTER⏎m 1⏎ ¦ both refuse
a type of nothing ¦ # TYPE m⏎m 1⏎ ¦ both refuse
a type with words behind ¦ # TYPE m gauge or so⏎m 1⏎ ¦ both refuse
a type of a name with a digit first ¦ # TYPE 9 gauge⏎m 1⏎ ¦ both refuse
a type that does not fit the samples ¦ # TYPE m histogram⏎m 1⏎ ¦ same
help ¦ # HELP m What it is.⏎m 1⏎ ¦ same
help with escapes and quotes ¦ # HELP m a \\ \n \" "b" {c="d"} 5⏎m 1⏎ ¦ same
help of a name that never comes ¦ # HELP n N.⏎m 1⏎ ¦ same
help behind the samples ¦ m 1⏎# HELP m M.⏎ ¦ same
help that stands twice ¦ # HELP m M.⏎# HELP m N.⏎m 1⏎ ¦ same
help of a name with a digit first ¦ # HELP 9 text⏎m 1⏎ ¦ both refuse
help of a name that ends in another script ¦ # HELP mé text⏎m 1⏎ ¦ only Prometheus refuses: Plimsoll skips help
help that is no UTF-8 ¦ # HELP m «FF»⏎m 1⏎ ¦ both refuse
a web page ¦ <!DOCTYPE html>⏎<html><body>502</body></html>⏎ ¦ both refuse
JSON ¦ {"status":"error","code":502}⏎ ¦ both refuse
an empty JSON object ¦ {}⏎ ¦ both refuse
a sentence ¦ Internal Server Error⏎ ¦ both refuse
a word ¦ OK⏎ ¦ both refuse
a word and a number ¦ Error 503⏎ ¦ same
compressed data ¦ «1F»«8B»«08»⏎ ¦ both refuse
a damaged line in the middle ¦ a 1⏎b one⏎c 3⏎ ¦ both refuse
"##;

/// Rows for the text format.
const TEXT_ONLY: &str = r##"
nothing ¦  ¦ same
a newline ¦ ⏎ ¦ same
only comments ¦ # one⏎# two⏎ ¦ same
blank lines ¦ ⏎ ⏎m 1⏎⏎⇥⏎ ¦ same
no newline at the end ¦ m 1⏎n 2 ¦ same
CRLF ¦ m 1␍⏎n{a="b"} 2␍⏎ ¦ only Prometheus refuses: Plimsoll takes both ends of lines
a line of a carriage return ¦ m 1⏎␍⏎ ¦ only Prometheus refuses: Plimsoll takes both ends of lines
a byte order mark ¦ «BOM»m 1⏎ ¦ only Prometheus refuses: some programs write one
tabs everywhere ¦ m⇥{⇥a⇥=⇥"1"⇥,⇥b⇥=⇥"2"⇥}⇥1⇥«T»000⇥⏎ ¦ same
several blanks ¦ m   {  a  =  "1"  }   1   «T»000   ⏎ ¦ same
a blank before a line ¦  m 1⏎ ¦ only Prometheus refuses: for it the blank is part of the name
a comma behind the last label ¦ m{a="1",} 1⏎ ¦ same
no comma between labels ¦ m{a="1"b="2"} 1⏎ ¦ only Plimsoll refuses: labels are separated by commas
a blank before the braces ¦ m {a="1"} 5⏎ ¦ same
no blank behind the braces ¦ m{a="1"}5⏎ ¦ same
blanks in empty braces ¦ m{ ⇥} 5⏎ ¦ same
a blank at the end of a line ¦ m 1 ⏎ ¦ same
a blank that does not break ¦ m«C2»«A0»1⏎ ¦ both refuse
a vertical tab ¦ m␋1⏎ ¦ both refuse
a raw newline in a value ¦ m{q="a⏎b"} 7⏎ ¦ only Plimsoll refuses: a newline in a value must be escaped
a NUL byte before a line ¦ a 1⏎␀b 2⏎ ¦ only Plimsoll refuses: the page ends there for Prometheus
a NUL byte in a comment ¦ # x␀y⏎m 1⏎ ¦ same
a comment that is no UTF-8 ¦ # «FF»⏎m 1⏎ ¦ only Plimsoll refuses: a page is UTF-8 throughout
comments of any kind ¦ # hi⏎#⏎#x⏎# HELPER m⏎# TYPES m⏎#HELP m⏎m 1⏎ ¦ same
a comment behind a sample ¦ m 1 # comment⏎ ¦ both refuse
a comment indented ¦  # comment⏎m 1⏎ ¦ same
a type indented ¦  # TYPE m gauge⏎m 1⏎ ¦ same
a type with tabs ¦ #⇥TYPE⇥m gauge⏎m 1⏎ ¦ same
a type with a tab before its word ¦ # TYPE m⇥gauge⏎m 1⏎ ¦ same
a type with two blanks before its word ¦ # TYPE m  gauge⏎m 1⏎ ¦ only Prometheus refuses: for it the second blank is part of the type
a type with a blank behind ¦ # TYPE m gauge ⏎m 1⏎ ¦ only Prometheus refuses: for it the blank is part of the type
a type without a blank behind the hash ¦ #TYPE m gauge⏎m 1⏎ ¦ same
a type in small letters ¦ # type m gauge⏎m 1⏎ ¦ same
an untyped family ¦ # TYPE m untyped⏎m 1⏎ ¦ same
types of OpenMetrics ¦ # TYPE a unknown⏎# TYPE b info⏎# TYPE c stateset⏎# TYPE d gaugehistogram⏎a 1⏎ ¦ only Prometheus refuses: Plimsoll takes the types of both formats in both
help of a name with a dash ¦ # HELP m-n text⏎m 1⏎ ¦ same
help without text ¦ # HELP m⏎m 1⏎ ¦ same
help without text behind a blank ¦ # HELP m ⏎m 1⏎ ¦ same
help without a name ¦ # HELP⏎m 1⏎ ¦ same
a type without a name ¦ # TYPE⏎m 1⏎ ¦ same
a unit is a comment ¦ # UNIT 9 seconds⏎m 1⏎ ¦ same
the end mark is a comment ¦ # EOF⏎m 1⏎ ¦ same
a time in milliseconds ¦ m 1 «T»123⏎ ¦ same
a time in five minutes ¦ m 1 «F»000⏎ ¦ same
two times of one series ¦ m 1 «T»000⏎m 2 «L»000⏎ ¦ same
two times of one series, the later first ¦ m 1 «L»000⏎m 2 «T»000⏎ ¦ differs: Prometheus drops what is older than the last; Plimsoll does so when it stores them
one time of one series with two values ¦ m 1 «T»000⏎m 2 «T»000⏎ ¦ differs: Prometheus drops the second; Plimsoll does so when it stores them, and notes it
a series with and without a time ¦ m 1 «T»000⏎m 2⏎ ¦ same
a time of some series only ¦ m{a="1"} 1 «T»000⏎m{a="2"} 2⏎ ¦ same
the time zero ¦ m 1 0⏎ ¦ same
a time of long ago ¦ m 1 1520879607789⏎ ¦ same
a time with zeros before it ¦ m 1 000«T»000⏎ ¦ same
a negative time ¦ m 1 -5⏎ ¦ only Prometheus refuses: the format allows it
a plus before a time ¦ m 1 +5⏎ ¦ both refuse
a time with a fraction ¦ m 1 «T»000.5⏎ ¦ both refuse
a time with an exponent ¦ m 1 1e12⏎ ¦ both refuse
a time beyond 64 bits ¦ m 1 9223372036854775808⏎ ¦ both refuse
a time of all 64 bits ¦ m 1 9223372036854775807⏎ ¦ same
two times ¦ m 1 «T»000 «T»000⏎ ¦ both refuse
an exemplar ¦ m_total 1 # {trace_id="x"} 0.5⏎ ¦ both refuse
a histogram ¦ # HELP h H.⏎# TYPE h histogram⏎h_bucket{le="0.5"} 1⏎h_bucket{le="+Inf"} 2⏎h_sum 1.5⏎h_count 2⏎ ¦ same
a summary ¦ # TYPE s summary⏎s{quantile="0.5"} NaN⏎s{quantile="0.99"} 2⏎s_sum 1.5⏎s_count 2⏎ ¦ same
half a line at the end ¦ m 1⏎n{a="b ¦ both refuse
half a name at the end ¦ m 1⏎n ¦ both refuse
"##;

/// Rows for OpenMetrics.
const OPENMETRICS_ONLY: &str = r##"
nothing ¦  ¦ both refuse
the end alone ¦ # EOF⏎ ¦ same
no newline behind the end ¦ m 1⏎# EOF ¦ same
no end ¦ m 1⏎ ¦ both refuse
no end and no newline ¦ m 1 ¦ both refuse
two ends ¦ m 1⏎# EOF⏎# EOF⏎ ¦ both refuse
a sample behind the end ¦ # EOF⏎m 1⏎ ¦ both refuse
a blank line behind the end ¦ m 1⏎# EOF⏎⏎ ¦ only Prometheus refuses: Plimsoll skips blank lines
a blank behind the end ¦ m 1⏎# EOF ⏎ ¦ only Prometheus refuses: Plimsoll takes several blanks
an end in small letters ¦ m 1⏎# eof⏎ ¦ both refuse
an end without its blank ¦ m 1⏎#EOF⏎ ¦ both refuse
CRLF ¦ m 1␍⏎# EOF␍⏎ ¦ only Prometheus refuses: Plimsoll takes both ends of lines
a byte order mark ¦ «BOM»m 1⏎# EOF⏎ ¦ both refuse
a blank line ¦ m 1⏎⏎n 2⏎# EOF⏎ ¦ only Prometheus refuses: Plimsoll skips blank lines
a free comment ¦ # hello⏎m 1⏎# EOF⏎ ¦ only Prometheus refuses: Plimsoll skips comments
a comma behind the last label ¦ m{a="1",} 1⏎# EOF⏎ ¦ only Prometheus refuses: Plimsoll takes it in both formats
no comma between labels ¦ m{a="1"b="2"} 1⏎# EOF⏎ ¦ both refuse
two blanks before the value ¦ m  1⏎# EOF⏎ ¦ only Prometheus refuses: Plimsoll takes several blanks
a tab before the value ¦ m⇥1⏎# EOF⏎ ¦ only Prometheus refuses: Plimsoll takes several blanks
a blank at the end of a line ¦ m 1 ⏎# EOF⏎ ¦ only Prometheus refuses: Plimsoll takes several blanks
a blank before a line ¦  m 1⏎# EOF⏎ ¦ only Prometheus refuses: Plimsoll takes several blanks
a blank before the braces ¦ m {a="1"} 5⏎# EOF⏎ ¦ only Prometheus refuses: Plimsoll takes several blanks
a blank in the braces ¦ m{a="1", b="2"} 5⏎# EOF⏎ ¦ only Prometheus refuses: Plimsoll takes several blanks
no blank behind the braces ¦ m{a="1"}5⏎# EOF⏎ ¦ only Prometheus refuses: Plimsoll needs no blank there
a comment that is no UTF-8 ¦ # «FF»⏎m 1⏎# EOF⏎ ¦ both refuse
a type with a blank behind ¦ # TYPE m gauge ⏎m 1⏎# EOF⏎ ¦ only Prometheus refuses: Plimsoll takes several blanks
the types of OpenMetrics ¦ # TYPE a unknown⏎# TYPE b info⏎# TYPE c stateset⏎# TYPE d gaugehistogram⏎a 1⏎# EOF⏎ ¦ same
an untyped family ¦ # TYPE m untyped⏎m 1⏎# EOF⏎ ¦ only Prometheus refuses: Plimsoll takes the types of both formats in both
help without text ¦ # HELP m⏎m 1⏎# EOF⏎ ¦ only Prometheus refuses: Plimsoll takes help without text
help of a name with a dash ¦ # HELP m-n text⏎m 1⏎# EOF⏎ ¦ only Prometheus refuses: Plimsoll skips help
help of an empty text ¦ # HELP m ⏎m 1⏎# EOF⏎ ¦ same
a unit ¦ # TYPE m_seconds gauge⏎# UNIT m_seconds seconds⏎m_seconds 1⏎# EOF⏎ ¦ same
a unit that is no end of the name ¦ # TYPE m gauge⏎# UNIT m seconds⏎m 1⏎# EOF⏎ ¦ both refuse
a unit that is the end of the name without its underscore ¦ # UNIT mseconds seconds⏎# EOF⏎ ¦ both refuse
an empty unit ¦ # UNIT m ⏎m 1⏎# EOF⏎ ¦ same
a unit without a text ¦ # UNIT m⏎m 1⏎# EOF⏎ ¦ only Prometheus refuses: a unit says nothing about a number
a unit of a name with a digit first ¦ # UNIT 9 seconds⏎m 1⏎# EOF⏎ ¦ both refuse
a counter with its start ¦ # TYPE m counter⏎m_total 17 # {trace_id="x"} 0.5⏎m_created «T».5⏎# EOF⏎ ¦ same
a counter without its suffix ¦ # TYPE m counter⏎m 17⏎# EOF⏎ ¦ same
info ¦ # TYPE build info⏎build_info{version="1.0",commit="abc"} 1⏎# EOF⏎ ¦ same
a stateset ¦ # TYPE s stateset⏎s{s="on"} 1⏎s{s="off"} 0⏎# EOF⏎ ¦ same
a gauge histogram ¦ # TYPE g gaugehistogram⏎g_bucket{le="1"} 4⏎g_bucket{le="+Inf"} 5⏎g_gsum 7⏎g_gcount 5⏎# EOF⏎ ¦ same
a histogram with exemplars ¦ # TYPE h histogram⏎h_bucket{le="1.0"} 4 # {t="a"} 0.7 «T».25⏎h_bucket{le="+Inf"} 5 # {} 3⏎h_sum 7⏎h_count 5⏎h_created «T»⏎# EOF⏎ ¦ same
a summary ¦ # TYPE s summary⏎s{quantile="0.5"} 1⏎s_sum 7⏎s_count 5⏎s_created 1⏎# EOF⏎ ¦ same
whole seconds ¦ m 1 «T»⏎# EOF⏎ ¦ same
seconds with a fraction ¦ m 1 «T».123⏎# EOF⏎ ¦ same
a fraction of half a millisecond ¦ m 1 «T».1235⏎# EOF⏎ ¦ same
a fraction of almost a millisecond ¦ m 1 «T».1239999⏎# EOF⏎ ¦ same
a fraction that no number has exactly ¦ a 1 «T».001⏎b 1 «T».009⏎c 1 «T».057⏎d 1 «T».589⏎e 1 «T».999⏎# EOF⏎ ¦ same
a time with an exponent ¦ m 1 1.5e9⏎# EOF⏎ ¦ same
a negative time ¦ m 1 -5⏎# EOF⏎ ¦ same
a plus before a time ¦ m 1 +5⏎# EOF⏎ ¦ same
a time that is not a number ¦ m 1 NaN⏎# EOF⏎ ¦ both refuse
a time without end ¦ m 1 +Inf⏎# EOF⏎ ¦ both refuse
a time beyond 64 bits ¦ m 1 1e300⏎# EOF⏎ ¦ only Plimsoll refuses: the number of milliseconds has no meaning
a time that is a word ¦ m 1 now⏎# EOF⏎ ¦ both refuse
two times of one series ¦ m 1 «T»⏎m 2 «L»⏎# EOF⏎ ¦ same
an exemplar ¦ m_total 17 # {trace_id="x"} 0.67⏎# EOF⏎ ¦ same
an exemplar with a time ¦ m_total 17 # {trace_id="x"} 0.67 «T».789⏎# EOF⏎ ¦ same
an exemplar behind a time ¦ m_total 17 «T».5 # {trace_id="x"} 0.67⏎# EOF⏎ ¦ same
an exemplar behind labels ¦ m_bucket{le="1"} 17 # {a="1",b="2"} 0.67⏎# EOF⏎ ¦ same
an exemplar without labels ¦ m_total 17 # {} 0.67⏎# EOF⏎ ¦ same
an exemplar with hashes and braces ¦ m_total 17 # {a="} # {"} 0.67⏎# EOF⏎ ¦ same
an exemplar without a value ¦ m_total 17 # {}⏎# EOF⏎ ¦ both refuse
an exemplar with a word as value ¦ m_total 17 # {} x⏎# EOF⏎ ¦ both refuse
an exemplar with a value that is not a number ¦ m_total 17 # {} NaN⏎# EOF⏎ ¦ same
an exemplar without braces ¦ m_total 17 # 0.67⏎# EOF⏎ ¦ both refuse
an exemplar with a broken label ¦ m_total 17 # {a=b} 0.67⏎# EOF⏎ ¦ both refuse
an exemplar that does not end ¦ m_total 17 # {a="b" 0.67⏎# EOF⏎ ¦ both refuse
an exemplar with too much behind ¦ m_total 17 # {} 1 2 3⏎# EOF⏎ ¦ both refuse
an exemplar with a time that is a word ¦ m_total 17 # {} 1 now⏎# EOF⏎ ¦ both refuse
an exemplar with a time that is not a number ¦ m_total 17 # {} 1 NaN⏎# EOF⏎ ¦ both refuse
an exemplar with a label twice ¦ m_total 17 # {a="1",a="2"} 1⏎# EOF⏎ ¦ same
an exemplar with more than 128 letters ¦ m_total 17 # {a="«HUNDRED»«HUNDRED»"} 1⏎# EOF⏎ ¦ same
two exemplars ¦ m_total 17 # {} 1 # {} 2⏎# EOF⏎ ¦ both refuse
an exemplar of a name without _total and _bucket ¦ # TYPE m gauge⏎m 17 # {} 1⏎# EOF⏎ ¦ only Prometheus refuses: an exemplar says nothing about a number
an exemplar of a name with _total that is a gauge ¦ # TYPE m_total gauge⏎m_total 17 # {} 1⏎# EOF⏎ ¦ same
an exemplar without its blanks ¦ m_total 17 #{}1⏎# EOF⏎ ¦ only Prometheus refuses: Plimsoll needs no blank there
a comment behind a sample ¦ m 1 # comment⏎# EOF⏎ ¦ both refuse
a raw newline in a value ¦ m{q="a⏎b"} 7⏎# EOF⏎ ¦ both refuse
a NUL byte before a line ¦ a 1⏎␀b 2⏎# EOF⏎ ¦ both refuse
half a page ¦ # TYPE m counter⏎m_total 1⏎m_tot ¦ both refuse
"##;

/// What the same page is as another content type, or as none.
const CONTENT_TYPES: &str = r##"
no content type ¦  ¦ same
text without a version ¦ text/plain ¦ same
text in capitals ¦ TEXT/PLAIN; VERSION=0.0.4 ¦ same
text of a later version ¦ text/plain; version=1.0.0; escaping=underscores ¦ same
binary data ¦ application/octet-stream ¦ same
OpenMetrics without an end ¦ application/openmetrics-text ¦ both refuse
OpenMetrics in capitals ¦ Application/OpenMetrics-Text; version=0.0.1 ¦ both refuse
OpenMetrics with a blank before its parameters ¦ application/openmetrics-text ; version=1.0.0 ¦ both refuse
no media type ¦ nonsense ¦ same
a web page that is none ¦ text/html; charset=utf-8 ¦ only Plimsoll refuses: an error page can look like a sample, such as "Error 503"
JSON that is none ¦ application/json ¦ only Plimsoll refuses: an error page can look like a sample, such as "Error 503"
an image that is none ¦ image/png ¦ only Plimsoll refuses: an error page can look like a sample, such as "Error 503"
"##;

/// Every row as a page.
pub fn all() -> Vec<(Page, Expected)> {
    let seconds = now() / 1000;
    let mut cases = Vec::new();
    for (format, content_type, table, end) in [
        ("text", TEXT, BOTH, ""),
        ("OpenMetrics", OPENMETRICS, BOTH, "# EOF\n"),
        ("text", TEXT, TEXT_ONLY, ""),
        ("OpenMetrics", OPENMETRICS, OPENMETRICS_ONLY, ""),
    ] {
        for [statement, text, expected] in rows(table) {
            let body = [bytes(&text, seconds), end.into()].concat();
            cases.push((page(&format!("{format}, {statement}"), content_type, body), parse(&expected)));
        }
    }
    for [statement, content_type, expected] in rows(CONTENT_TYPES) {
        let content_type = Some(content_type).filter(|header| !header.is_empty());
        let page = Page { name: format!("content type, {statement}"), content_type, body: b"m 1\n".to_vec() };
        cases.push((page, parse(&expected)));
    }
    cases
}

fn rows(table: &str) -> impl Iterator<Item = [String; 3]> {
    table.trim_matches('\n').lines().map(|row| {
        let cells: Vec<String> = row.split(" ¦ ").map(str::to_owned).collect();
        cells.try_into().unwrap_or_else(|_| panic!("statement ¦ page ¦ expected, not {row:?}"))
    })
}

fn parse(expected: &str) -> Expected {
    let (verdict, reason) = expected.split_once(": ").unwrap_or((expected, ""));
    match (verdict, reason) {
        ("same", "") => Expected::Same,
        ("both refuse", "") => Expected::BothRefuse,
        ("only Prometheus refuses", reason) if !reason.is_empty() => Expected::OnlyPrometheusRefuses(reason.into()),
        ("only Plimsoll refuses", reason) if !reason.is_empty() => Expected::OnlyPlimsollRefuses(reason.into()),
        ("differs", reason) if !reason.is_empty() => Expected::Differs(reason.into()),
        _ => panic!("{expected:?} is nothing to expect"),
    }
}

/// The page that the marks stand for.
fn bytes(text: &str, seconds: i64) -> Vec<u8> {
    let labels: Vec<String> = (0..2000).map(|number| format!("l{number}=\"v\"")).collect();
    let lines: String = (0..10_000).map(|number| format!("m{{line=\"{number}\"}} {number}\n")).collect();
    let marks = [
        ("⏎", "\n".to_owned()),
        ("⇥", "\t".to_owned()),
        ("␍", "\r".to_owned()),
        ("␋", "\u{b}".to_owned()),
        ("␇", "\u{7}\u{1b}\u{7f}".to_owned()),
        ("␀", "\0".to_owned()),
        ("«BOM»", "\u{feff}".to_owned()),
        ("«T»", (seconds - 600).to_string()),
        ("«L»", (seconds - 300).to_string()),
        ("«F»", (seconds + 300).to_string()),
        ("«HUNDRED»", "x".repeat(100)),
        ("«LONG»", "long_".repeat(20_000)),
        ("«LABELS»", labels.join(",")),
        ("«LINES»", lines),
    ];
    let text = marks.iter().fold(text.to_owned(), |text, (mark, meant)| text.replace(mark, meant));
    raw_bytes(&text)
}

/// Replaces each `«1F»` by its byte.
fn raw_bytes(text: &str) -> Vec<u8> {
    let mut parts = text.split('«');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_once('»').expect("a closed mark");
        bytes.push(u8::from_str_radix(digits, 16).unwrap_or_else(|_| panic!("«{digits}» is no mark")));
        bytes.extend_from_slice(rest.as_bytes());
    }
    bytes
}
