# The tour that `up` prints: a guest buys something. deploy/local/tour.py fills in the addresses; README.md shows it too.
S=@URL@
j() { python3 -c 'import json,sys; d=json.load(sys.stdin)
for k in sys.argv[1].split("."): d=d[int(k) if k.isdigit() else k]
print(d)' "$1"; }
json='Content-Type: application/json'

# a product, a variant of it that is in stock, a guest's cart
PRODUCT=$(curl -s "$S/api/products?vendor=harbour-goods&in_stock=true&limit=1" | j data.0.id)
VARIANT=$(curl -s "$S/api/products/$PRODUCT" | python3 -c 'import json,sys
print(next(v["id"] for v in json.load(sys.stdin)["variants"] if v["availability"]!="out"))')
CART=$(curl -s $S/api/cart/items -H "$json" -d "{\"variant_id\":\"$VARIANT\",\"qty\":1}" | j cart_token)

# what it will cost, then the checkout: stock is reserved, the price is frozen
EST=$(curl -s "$S/api/cart/estimate?country=US&region=IL&postal_code=62701" -H "X-Cart-Token: $CART")
TOTAL=$(j totals.total.amount <<<"$EST"); VERSION="$(j cart_id <<<"$EST")-$(j cart_version <<<"$EST")"
CHECKOUT=$(curl -s $S/api/checkout -H "$json" -H "X-Cart-Token: $CART" -H "If-Match: \"$VERSION\"" \
  -H "Idempotency-Key: tour-$RANDOM$RANDOM" -d "{\"email\":\"guest@souk.example\",
  \"shipping_method\":\"$(j shipping_method <<<"$EST")\",\"expected_total\":{\"amount\":$TOTAL,\"currency\":\"USD\"},
  \"address\":{\"name\":\"Gus Guest\",\"line1\":\"1 Market Street\",\"city\":\"Springfield\",\"region\":\"IL\",
  \"postal_code\":\"62701\",\"country\":\"US\"}}")

# pay at the sandbox, as the shop's page would; then confirm, and read the mail
curl -s @SANDBOX@/v1/payment_intents/$(j payment.payment_intent_id <<<"$CHECKOUT")/confirm \
  -u "$(j payment.publishable_key <<<"$CHECKOUT"):" -d payment_method=pm_card_visa \
  -d client_secret="$(j payment.client_secret <<<"$CHECKOUT")" | j status
curl -s $S/api/orders/confirm -H "$json" -H "X-Cart-Token: $CART" -H "Idempotency-Key: tour-$RANDOM$RANDOM" \
  -d "{\"checkout_id\":\"$(j id <<<"$CHECKOUT")\"}" | j number
curl -s "@MAIL@/api/messages?to=guest@souk.example&wait=10000" | j data.0.subject
