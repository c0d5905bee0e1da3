"""A page as a browser reads it, and text that would do harm in one."""

from html.parser import HTMLParser

HOSTILE = '<script>alert(1)</script><img src="http://evil.example/x.png" onerror=alert(1)> "quoted" & \u202eturned\x00'


VOID = {"meta", "img", "br", "wbr", "input", "link"}


class Reader(HTMLParser):
    """Collects tags, attributes and the text; fails where tags do not close in order."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.attributes, self.open, self.texts = [], [], [], []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)
