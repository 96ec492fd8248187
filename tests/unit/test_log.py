"""What a line about several deliveries says of them."""

from app.log import MOST_LISTED, listed


def test_the_ids_are_listed_up_to_a_number_and_all_are_counted() -> None:
    assert listed([3, 1]) == {"number": 2, "deliveries": [3, 1]}
    many = listed({*range(MOST_LISTED + 1)})
    assert (many["number"], len(many["deliveries"])) == (MOST_LISTED + 1, MOST_LISTED)
