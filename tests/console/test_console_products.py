"""The page of products in a real browser: from an empty catalogue to the end."""

import csv
import io
import json
from pathlib import Path

import pytest
from console_pages import ROWS, console_of, create_product, dialog, fill, row
from playwright.sync_api import Page, expect
from server_process import ServerProcess

FILE = "title;price;category\nDesk;200;Home\n;3;Home\nChair;abc;Home\nShelf;80.5;Garden\n"
CREATE_MANY = "mutation ($products: [ProductInput!]!) { createProducts(products: $products) { writes { id } } }"


def test_a_product_goes_from_an_empty_catalogue_through_all_its_life(server: ServerProcess, tmp_path: Path) -> None:
    with console_of(server, tmp_path) as visit:
        page = visit.page
        page.goto("/products")
        expect(page.get_by_text("No products yet")).to_be_visible()

        page.get_by_role("link", name="Create product").click()
        fill(page, Price="1.999")
        page.keyboard.press("Enter")
        title = dialog(page).get_by_label("Title")
        expect(title).to_have_attribute("aria-invalid", "true")
        expect(title).to_have_accessible_description("Give a value")
        price = dialog(page).get_by_label("Price")
        expect(price).to_have_accessible_description(
            "1.999: give at most two decimals Held exactly; at most two decimals"
        )
        expect(price).to_have_value("1.999")
        expect(title).to_be_focused()
        assert server.query("{ products { totalCount } writes { nodes { id } } }") == {
            "products": {"totalCount": 0},
            "writes": {"nodes": []},
        }

        fill(page, Title="Reading lamp", Price="12.50", Category="Home")
        dialog(page).get_by_role("button", name="Create").click()
        receipt = dialog(page).locator("[data-receipt=APPLIED]")
        expect(receipt).to_contain_text("QUEUED")
        expect(receipt).to_contain_text("after acceptance")
        dialog(page).get_by_role("button", name="Done").click()
        expect(row(page, "Reading lamp")).to_contain_text("12.50")

        row(page, "Reading lamp").get_by_role("link", name="Edit").click()
        fill(page, Price="14")
        page.keyboard.press("Enter")
        dialog(page).locator("[data-receipt=APPLIED]").wait_for()
        page.keyboard.press("Escape")
        expect(row(page, "Reading lamp")).to_contain_text("14.00")

        row(page, "Reading lamp").get_by_role("link", name="Delete").click()
        expect(dialog(page).get_by_role("button", name="Keep it")).to_be_focused()
        dialog(page).get_by_role("button", name="Delete").click()
        dialog(page).locator("[data-receipt=APPLIED]").wait_for()
        page.keyboard.press("Escape")
        expect(page.get_by_text("No products yet")).to_be_visible()
    assert server.query("{ products { totalCount } }") == {"products": {"totalCount": 0}}


def test_the_list_is_searched_filtered_sorted_and_paged_and_the_url_keeps_it(
    server: ServerProcess, tmp_path: Path
) -> None:
    products = [
        {"title": f"Lamp {n:03d}", "price": float(n), "category": "Light" if n % 2 else "Home"} for n in range(120)
    ]
    server.query(CREATE_MANY, {"products": products})
    with console_of(server, tmp_path) as visit:
        page = visit.page
        page.goto("/products")
        expect(page.get_by_text("120 products")).to_be_visible()
        expect(page.locator(ROWS)).to_have_count(50)

        page.get_by_label("Search").press_sequentially("LAMP 11")
        expect(page.get_by_text("10 products")).to_be_visible()
        page.get_by_label("Category").select_option("Light")
        expect(page.get_by_text("5 products")).to_be_visible()
        page.get_by_label("Price from").fill("114")
        page.get_by_label("Price from").press("Enter")
        expect(page.get_by_text("3 products")).to_be_visible()
        page.get_by_label("Order").select_option("Price, low to high")
        expect(page.locator(ROWS)).to_contain_text(["Lamp 115", "Lamp 117", "Lamp 119"])
        assert page.url.endswith("/products?search=LAMP+11&category=Light&min_price=114&order=PRICE_ASC")

        page.reload()
        expect(page.locator(ROWS)).to_contain_text(["Lamp 115", "Lamp 117", "Lamp 119"])
        expect(page.get_by_label("Search")).to_have_value("LAMP 11")
        expect(page.get_by_label("Order")).to_have_value("PRICE_ASC")

        page.goto("/writes")
        page.go_back()
        expect(page.locator(ROWS)).to_have_count(3)
        page.go_back()
        expect(page.get_by_label("Order")).to_have_value("")
        expect(page.get_by_label("Price from")).to_have_value("114")

        page.goto("/products?order=TITLE_ASC")
        seen = _titles(page)
        for _ in range(2):
            page.get_by_role("link", name="Next").click()
            page.wait_for_url("**after=**")
            expect(page.get_by_role("link", name="Previous")).to_be_visible()
            assert not {*seen} & {*_titles(page)}
            seen += _titles(page)
        expect(page.get_by_role("link", name="Next")).to_have_count(0)
        assert seen == [product["title"] for product in products]
        page.get_by_role("link", name="Previous").click()
        page.wait_for_url("**before=**")
        assert _titles(page) == seen[50:100]

        page.goto("/products?search=nothing+like+it")
        expect(page.get_by_text("No product matches")).to_be_visible()
        page.get_by_role("link", name="Show all products").click()
        expect(page.get_by_text("120 products")).to_be_visible()


@pytest.mark.one_database("a browser is slow, and what it does here asks nothing new of the database")
def test_a_file_is_uploaded_with_its_refused_rows_told_and_given_out_again(
    server: ServerProcess, tmp_path: Path
) -> None:
    file = tmp_path / "<b>feed.csv"
    file.write_text(FILE, encoding="utf-8")
    with console_of(server, tmp_path) as visit:
        page = visit.page
        page.goto("/products")
        page.get_by_role("link", name="Upload a file").click()
        dialog(page).get_by_label("File").set_input_files(file)
        dialog(page).get_by_role("button", name="Upload").click()
        expect(dialog(page)).to_contain_text("<b>feed.csv: 2 accepted, 2 refused.")
        expect(dialog(page).locator(ROWS)).to_have_text(
            ["line 3title is required and cannot be null", "line 4price is 'abc': give a number"]
        )
        dialog(page).locator("[data-receipt=APPLIED]").wait_for()
        dialog(page).get_by_role("button", name="Done").click()
        expect(page.locator(".summary")).to_contain_text("2 products")

        page.goto("/products?category=Garden")
        with page.expect_download() as waiting:
            page.get_by_role("link", name="CSV").click()
        [shelf] = csv.DictReader(io.StringIO(waiting.value.path().read_text(encoding="utf-8")))
        assert (shelf["title"], shelf["price"], shelf["category"]) == ("Shelf", "80.5", "Garden")
        with page.expect_download() as waiting:
            page.get_by_role("link", name="JSONL").click()
        assert json.loads(waiting.value.path().read_text(encoding="utf-8"))["title"] == "Shelf"


@pytest.mark.one_database("a browser is slow, and what it does here asks nothing new of the database")
def test_a_file_that_is_no_product_file_is_refused_with_its_name(server: ServerProcess, tmp_path: Path) -> None:
    file = tmp_path / "notes.json"
    file.write_text('[{"title": "Desk"', encoding="utf-8")
    with console_of(server, tmp_path) as visit:
        visit.page.goto("/products/upload")
        visit.page.get_by_label("File").set_input_files(file)
        visit.page.get_by_role("button", name="Upload").click()
        expect(visit.page.get_by_role("alert")).to_contain_text("notes.json is not a JSON array of products")
        visit.complaints.clear()  # the browser's own line about the status 422 of the page
    assert server.query("{ products { totalCount } }") == {"products": {"totalCount": 0}}


@pytest.mark.one_database("a browser is slow, and what it does here asks nothing new of the database")
def test_a_picture_that_cannot_be_loaded_leaves_a_letter(server: ServerProcess, tmp_path: Path) -> None:
    with console_of(server, tmp_path) as visit:
        page = visit.page
        page.goto("/products")
        create_product(page, "Quiet clock", Image=f"{server.url}/static/pictures/none.svg")
        create_product(page, "Brass pen", Image=f"{server.url}/static/pictures/brass-pen.svg")
        broken, whole = row(page, "Quiet clock").locator(".thumb"), row(page, "Brass pen").locator(".thumb")
        expect(broken.locator("img")).to_be_hidden()
        expect(broken.get_by_text("Q")).to_be_visible()
        expect(whole.locator("img")).to_be_visible()
        visit.complaints = [text for text in visit.complaints if "404" not in text]


@pytest.mark.one_database("a browser is slow, and what it does here asks nothing new of the database")
def test_an_edit_leaves_alone_what_another_one_changed_meanwhile(server: ServerProcess, tmp_path: Path) -> None:
    with console_of(server, tmp_path) as visit:
        page = visit.page
        page.goto("/products")
        create_product(page, "Desk", "200", Category="Home")
        product = server.query("{ products { nodes { id } } }")["products"]["nodes"][0]["id"]
        row(page, "Desk").get_by_role("link", name="Edit").click()
        fill(page, Price="210")
        server.query(
            'mutation ($id: ID!) { updateProduct(productId: $id, category: "Office") { success } }', {"id": product}
        )
        page.keyboard.press("Enter")
        dialog(page).locator("[data-receipt=APPLIED]").wait_for()
    found = server.query("{ products { nodes { price category } } }")["products"]["nodes"]
    assert found == [{"price": 210.0, "category": "Office"}]


def _titles(page: Page) -> list[str]:
    return page.locator(f"{ROWS} td:nth-child(2)").all_inner_texts()
