"""The 31 kinds of business events that Kvass knows, with their meaning.

Source: seed Kvass, "List of Event Types".
"""

from __future__ import annotations

KINDS: dict[str, str] = {
    "order.created": "Order created",
    "order.updated": "Order updated",
    "order.cancelled": "Order cancelled",
    "invoice.created": "Invoice created",
    "invoice.updated": "Invoice updated",
    "invoice.deleted": "Invoice deleted",
    "user.created": "User created",
    "user.updated": "User updated",
    "user.deleted": "User deleted",
    "subscription.created": "Subscription created",
    "subscription.updated": "Subscription updated",
    "subscription.deleted": "Subscription deleted",
    "subscription.activated": "Subscription activated",
    "subscription.future": "Subscription postponed",
    "subscription.completed": "Subscription completed",
    "subscription.non_renewing": "Subscription stopping the next cycle",
    "subscription.cancelled": "Subscription cancelled",
    "payment.created": "Payment created",
    "payment.updated": "Payment updated",
    "payment.deleted": "Payment deleted",
    "payment.succeeded": "Payment succeeded",
    "payment.processing": "Payment processing",
    "payment.failed": "Payment failed",
    "payment.captured": "Payment captured",
    "payment.cancelled": "Payment cancelled",
    "product.created": "Product created",
    "product.updated": "Product updated",
    "product.deleted": "Product deleted",
    "plan.created": "Plan created",
    "plan.updated": "Plan updated",
    "plan.deleted": "Plan deleted",
}

_UPDATE = ".updated"


def is_update(kind: str) -> bool:
    """Tell whether an event of this kind says what changed."""
    return kind.endswith(_UPDATE)
