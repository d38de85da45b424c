import pytest

from affectflow.cache.errors import BadCall
from affectflow.extract.extras import require


def test_what_is_installed_passes():
    require("numpy", "face-landmarks", "landmarks")


def test_what_is_missing_is_named_with_its_extra():
    with pytest.raises(BadCall, match=r"a needs no-such: it is not.*pip install 'affectflow\[b\]'"):
        require("no-such", "a", "b")
