"""Makes a thumbnail of every photo that S3 says was uploaded.

Deployed with the handler `thumbnail.handler`; S3 invokes it with its notification event.
The thumbnail of `KEY` is written as `thumbnails/KEY` to the bucket named by the environment variable
THUMBNAILS_BUCKET, which must not be the bucket that notifies: each thumbnail would make another.
"""

import io
import os
from urllib.parse import unquote_plus

import boto3
from PIL import Image, ImageOps

LONGEST_SIDE_PX = 256
JPEG_QUALITY = 85
# Larger pictures are refused before their pixels are unpacked into memory.
Image.MAX_IMAGE_PIXELS = 64_000_000

s3 = boto3.client("s3")


def handler(event, context):
    """Returns one entry for each record: the photo, its thumbnail, and the size of both."""
    target = os.environ["THUMBNAILS_BUCKET"]
    made = [make_thumbnail(record["s3"], target) for record in event["Records"]]
    return {"thumbnails": made}


def make_thumbnail(record, target):
    bucket = record["bucket"]["name"]
    # S3 encodes keys in events as an HTML form does.
    key = unquote_plus(record["object"]["key"])
    photo = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    thumbnail, before, after = shrink(photo)
    thumbnail_key = f"thumbnails/{key}"
    s3.put_object(Bucket=target, Key=thumbnail_key, Body=thumbnail, ContentType="image/jpeg")
    print(
        f"{bucket}/{key}: {before[0]}x{before[1]}, {len(photo)} bytes"
        f" -> {target}/{thumbnail_key}: {after[0]}x{after[1]}, {len(thumbnail)} bytes"
    )
    return {
        "photo": {"bucket": bucket, "key": key, "width": before[0], "height": before[1], "bytes": len(photo)},
        "thumbnail": {
            "bucket": target,
            "key": thumbnail_key,
            "width": after[0],
            "height": after[1],
            "bytes": len(thumbnail),
        },
    }


def shrink(photo):
    """Gives the thumbnail's JPEG bytes, and the width and height of the photo and of the thumbnail."""
    with Image.open(io.BytesIO(photo)) as opened:
        # Cameras note how they were held instead of turning the picture.
        upright = ImageOps.exif_transpose(opened).convert("RGB")
    before = upright.size
    upright.thumbnail((LONGEST_SIDE_PX, LONGEST_SIDE_PX), Image.Resampling.LANCZOS)
    output = io.BytesIO()
    upright.save(output, "JPEG", quality=JPEG_QUALITY, optimize=True)
    return output.getvalue(), before, upright.size
