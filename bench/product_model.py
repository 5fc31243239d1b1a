"""The table of products as SQLAlchemy models of the plain version and the peers declare it."""

from typing import Any

from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """The declarative base."""


class ProductModel(Base):
    """One product, with the columns of the API."""

    __tablename__ = "products"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    price: Mapped[float]
    description: Mapped[str | None]
    category: Mapped[str | None] = mapped_column(index=True)
    image: Mapped[str | None]
    rating_rate: Mapped[float | None]
    rating_count: Mapped[int | None]

    @property
    def rating(self) -> dict[str, Any] | None:
        """The rating as one JSON value."""
        if self.rating_rate is None and self.rating_count is None:
            return None
        return {"rate": self.rating_rate, "count": self.rating_count}
