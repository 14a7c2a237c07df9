"""Ids and names that a file name, a tag or a key cannot take as they are, and pairs that must stay apart."""

NASTY = (
    *("a/b", "a_b", "a\\b", "a b", " a b", "a|b", "a\nb", "a~b", "a#b", "a+b", "a%b", "a:b", "a'b"),
    *("../../etc/passwd", "..", ".", "", " ", "a..b", ".a", "//", "\x00"),
    *("é.jpg", "e\u0301.jpg", "\udcff.jpg"),
    *("x" * 300, "x" * 299 + "y"),
    *("overlay", "0", "-", "a+step+1+timestamp+2+3"),
    *("*x*", "<b>x</b>", "[x](http://a.b)", "&lt;", "1. a"),
)
